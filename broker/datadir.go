package broker

// LockDataDir makes this process the only daemon of a data directory, which must exist, until release is called or the process
// ends, however it ends. Another one gets *InUseError. An embedded broker locks its own store below it as well.
func LockDataDir(dir string) (release func() error, err error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	return lock.release, nil
}
