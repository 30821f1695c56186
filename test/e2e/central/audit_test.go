package central

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// checkAudit reads the audit logs of all API servers after all tests: no account of ours was refused
// what it asked, so the manifests give what is needed.
func checkAudit() error {
	logs := map[string]string{shared.Cluster().AuditLog(): "system:serviceaccount:loft:loft-manager"}
	for _, name := range shared.Clusters() {
		logs[shared.Connected(name).Cluster().AuditLog()] = "system:serviceaccount:loft:loft-connect"
	}
	var errs []error
	for log, account := range logs {
		errs = append(errs, checkLog(log, account))
	}
	return errors.Join(errs...)
}

func checkLog(path, account string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	var errs []error
	own := 0
	records := bufio.NewScanner(file)
	records.Buffer(nil, 1<<20)
	for records.Scan() {
		var e auditv1.Event
		if err := json.Unmarshal(records.Bytes(), &e); err != nil {
			return fmt.Errorf("audit log %q: %w", path, err)
		}
		if e.User.Username != account || e.ImpersonatedUser != nil {
			continue
		}
		own++
		if e.ResponseStatus != nil && e.ResponseStatus.Code == http.StatusForbidden && len(errs) < 20 {
			errs = append(errs, fmt.Errorf("audit log: %s was refused %s %s", account, e.Verb, e.RequestURI))
		}
	}
	if own == 0 {
		errs = append(errs, fmt.Errorf("audit log: no request of %s at all", account))
	}
	return errors.Join(append(errs, records.Err())...)
}
