package runner

import "mayfly/iam"

// Permissions are what a run itself needs, beyond its jobs: the lock, that it
// began, its log, its report.
func Permissions() []iam.Statement {
	return []iam.Statement{
		iam.CreateOnly("RunHistory", "runs/*/started.json", "runs/*/log/*.txt", "runs/*/report.json", "runs/*/report.txt", lockKey),
		iam.Replace("LockAndReport", "runs/*/report.json", "runs/*/report.txt", lockKey),
		iam.Read("ReadLockAndSettleWrites", "runs/*"),
		iam.List("TellMissingFromDenied", "runs/*"),
	}
}
