// Command compose reads a Compose file as Docker Compose does, with the library that it is made of, and says what is wrong with it.
//
//	go -C tools/compose run . ../../deploy/compose.yaml
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if err := check(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

func check(args []string) error {
	if len(args) != 1 {
		return errors.New("which file? compose FILE")
	}
	options, err := cli.NewProjectOptions(args)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	fmt.Printf("%s: services %v\n", project.Name, project.ServiceNames())
	return nil
}
