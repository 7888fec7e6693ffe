package journal_test

const helperEnv = "DRIFTD_TEST_HELPER"

func helper() {}
