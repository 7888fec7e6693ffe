package influx

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/domain"
)

// Preparation says what Prepare is to create, and with whose rights.
type Preparation struct {
	URL, Org, Bucket string
	Admin            string        // a token that may create; of 1.8 user:password, or empty without authentication
	Retention        time.Duration // of the bucket; 0: for ever
	User             string        // of 1.8: the user to create
}

// Prepared says what there is now.
type Prepared struct {
	Done  []string // for people, one line each
	Token string   // with the least rights: it reads and writes the one bucket. Empty without authentication
}

// Prepare creates organisation, bucket and a token that may read and write this bucket and nothing else. What is there already
// is left as it is; the token is always a new one.
func Prepare(ctx context.Context, p Preparation) (Prepared, error) {
	db, err := Open(Options{ //nolint:exhaustruct // the defaults
		URL: p.URL, Org: p.Org, Bucket: p.Bucket, Token: func() (string, error) { return p.Admin, nil },
	})
	if err != nil {
		return Prepared{}, err
	}
	defer func() { _ = db.Close() }() // it only asked
	version, err := db.Version(ctx)
	if err != nil {
		return Prepared{}, err
	}
	if old(version) {
		return db.prepareOld(ctx, p)
	}
	return db.prepare(ctx, p)
}

func (db *DB) prepare(ctx context.Context, p Preparation) (Prepared, error) {
	var out Prepared
	if p.Org == "" || p.Admin == "" {
		return out, errors.New("InfluxDB 2 needs an organisation (store.influxdb.org) and a token that may create (--admin-token-file)")
	}
	client, _, err := db.connect()
	if err != nil {
		return out, err
	}
	org, err := client.OrganizationsAPI().FindOrganizationByName(ctx, p.Org)
	if err != nil {
		if org, err = client.OrganizationsAPI().CreateOrganizationWithName(ctx, p.Org); err != nil {
			return out, fmt.Errorf("creating the organisation %s: %w", p.Org, err)
		}
		out.Done = append(out.Done, "created the organisation "+p.Org)
	}
	bucket, err := bucketOf(ctx, client, org, p.Bucket)
	if err != nil {
		return out, err
	}
	if bucket == nil {
		rules := []domain.RetentionRule{}
		if p.Retention > 0 {
			rules = append(rules, domain.RetentionRule{EverySeconds: int64(p.Retention.Seconds())}) //nolint:exhaustruct // the server's choice
		}
		if bucket, err = client.BucketsAPI().CreateBucketWithName(ctx, org, p.Bucket, rules...); err != nil {
			return out, fmt.Errorf("creating the bucket %s: %w", p.Bucket, err)
		}
		out.Done = append(out.Done, "created the bucket "+p.Bucket+", which keeps "+keeps(p.Retention))
	}
	token, err := leastToken(ctx, client, org, bucket)
	if err != nil {
		return out, err
	}
	out.Token = token
	out.Done = append(out.Done, "created a token that reads and writes the bucket "+p.Bucket+" and nothing else")
	return out, nil
}

// bucketOf returns the bucket of a name in an organisation, nil where there is none: another organisation may have one of that name.
func bucketOf(ctx context.Context, client influxdb2.Client, org *domain.Organization, name string) (*domain.Bucket, error) {
	found, err := client.APIClient().GetBuckets(ctx, &domain.GetBucketsParams{OrgID: org.Id, Name: &name}) //nolint:exhaustruct // no paging
	switch {
	case err != nil && strings.HasPrefix(err.Error(), string(domain.ErrorCodeNotFound)): // the library gives it as a text
		return nil, nil //nolint:nilnil // said above
	case err != nil:
		return nil, fmt.Errorf("looking for the bucket %s: %w", name, err)
	case found.Buckets == nil || len(*found.Buckets) == 0:
		return nil, nil //nolint:nilnil // said above
	}
	return &(*found.Buckets)[0], nil
}

func leastToken(ctx context.Context, client influxdb2.Client, org *domain.Organization, bucket *domain.Bucket) (string, error) {
	resource := domain.Resource{Type: domain.ResourceTypeBuckets, Id: bucket.Id, OrgID: org.Id} //nolint:exhaustruct // names are not needed
	auth, err := client.AuthorizationsAPI().CreateAuthorizationWithOrgID(ctx, *org.Id, []domain.Permission{
		{Action: domain.PermissionActionRead, Resource: resource}, {Action: domain.PermissionActionWrite, Resource: resource},
	})
	if err != nil {
		return "", fmt.Errorf("creating a token: %w", err)
	}
	if auth.Token == nil {
		return "", errors.New("creating a token: the server returned none")
	}
	return *auth.Token, nil
}

func keeps(retention time.Duration) string {
	if retention == 0 {
		return "everything"
	}
	return retention.String()
}

// prepareOld is Prepare for 1.x, which has databases and users.
func (db *DB) prepareOld(ctx context.Context, p Preparation) (Prepared, error) {
	var out Prepared
	name, policy, _ := strings.Cut(p.Bucket, "/")
	duration := "INF"
	if p.Retention > 0 {
		duration = p.Retention.String()
	}
	create := "CREATE DATABASE " + identifier(name) + " WITH DURATION " + duration
	if policy != "" {
		create += " NAME " + identifier(policy)
	}
	if err := db.run(ctx, create); err != nil {
		return out, fmt.Errorf("creating the database %s: %w", name, err)
	}
	out.Done = append(out.Done, "there is a database "+name+"; a new one keeps "+keeps(p.Retention))
	if p.Admin == "" {
		out.Done = append(out.Done, "no administrator was given: no user was created")
		return out, nil
	}
	password := rand.Text()
	if err := db.run(ctx, "CREATE USER "+identifier(p.User)+" WITH PASSWORD "+literal(password)); err != nil {
		if err := db.run(ctx, "SET PASSWORD FOR "+identifier(p.User)+" = "+literal(password)); err != nil {
			return out, fmt.Errorf("creating the user %s: %w", p.User, err)
		}
	}
	if err := db.run(ctx, "GRANT ALL ON "+identifier(name)+" TO "+identifier(p.User)); err != nil {
		return out, fmt.Errorf("granting rights to the user %s: %w", p.User, err)
	}
	out.Token = p.User + ":" + password
	out.Done = append(out.Done, "the user "+p.User+" has a new password, and reads and writes "+name+" and nothing else")
	return out, nil
}

// run executes a statement of InfluxQL.
func (db *DB) run(ctx context.Context, statement string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, db.o.URL+"/query", strings.NewReader(url.Values{"q": {statement}}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if token, err := db.o.Token(); err == nil && token != "" {
		req.Header.Set("Authorization", "Token "+token)
	}
	resp, err := db.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // what matters was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	var answer struct {
		Error   string
		Results []struct{ Error string }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %s", resp.Status, cut(string(body), 200))
	}
	for _, r := range answer.Results {
		if answer.Error == "" {
			answer.Error = r.Error
		}
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}

// Commands returns what a person types instead of Prepare: of 2.x with the command line `influx`, of 1.8 in its shell.
func Commands(p Preparation) (two, old []string) {
	retention, duration := "0", "INF"
	if p.Retention > 0 {
		retention, duration = p.Retention.String(), p.Retention.String()
	}
	name, _, _ := strings.Cut(p.Bucket, "/")
	two = []string{
		"influx org create --name " + shell(p.Org),
		"influx bucket create --org " + shell(p.Org) + " --name " + shell(p.Bucket) + " --retention " + retention,
		"id=$(influx bucket list --org " + shell(p.Org) + " --name " + shell(p.Bucket) + " --hide-headers | cut -f1)",
		"influx auth create --org " + shell(p.Org) + ` --read-bucket "$id" --write-bucket "$id"`,
	}
	old = []string{
		"CREATE DATABASE " + identifier(name) + " WITH DURATION " + duration,
		"CREATE USER " + identifier(p.User) + " WITH PASSWORD '…'",
		"GRANT ALL ON " + identifier(name) + " TO " + identifier(p.User),
	}
	return two, old
}

func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
