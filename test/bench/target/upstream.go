package target

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// Upstream counts what reaches the API server, by its audit log: a record is there before its
// client has the answer, so between two requests the count is exact.
type Upstream struct {
	file   *os.File
	offset int64
}

// auditRecord is what is read of a record.
type auditRecord struct {
	Verb      string   `json:"verb"`
	URI       string   `json:"requestURI"`
	User      account  `json:"user"`
	Object    object   `json:"objectRef"`
	Impersona *account `json:"impersonatedUser"`
}

type account struct {
	Username string `json:"username"`
}

type object struct {
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
}

// Count is what one user has sent to the API server.
type Count struct {
	// Requests that were completed, those for somebody else included.
	Requests int
	// Own are those in the user's own name, by verb and resource.
	Own map[string]int
}

func openUpstream(path string) (*Upstream, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("audit log of the API server: %w", err)
	}
	u := &Upstream{file: file}
	return u, u.Skip()
}

// Skip forgets what was sent until now.
func (u *Upstream) Skip() error {
	info, err := u.file.Stat()
	if err != nil {
		return fmt.Errorf("audit log of the API server: %w", err)
	}
	u.offset = info.Size()
	return nil
}

// Count what the user has sent since Skip or Count was called last.
func (u *Upstream) Count(username string) (Count, error) {
	from := u.offset
	if err := u.Skip(); err != nil {
		return Count{}, err
	}
	data := make([]byte, u.offset-from)
	if _, err := u.file.ReadAt(data, from); err != nil && err != io.EOF {
		return Count{}, fmt.Errorf("audit log of the API server: %w", err)
	}
	return countRecords(data, username)
}

// countRecords counts records of complete answers; a watch has one when it begins as well.
func countRecords(data []byte, username string) (Count, error) {
	count := Count{Own: map[string]int{}}
	name, complete := []byte(`"`+username+`"`), []byte(`"stage":"ResponseComplete"`)
	for line := range bytes.Lines(data) {
		if !bytes.Contains(line, name) || !bytes.Contains(line, complete) {
			continue
		}
		var record auditRecord
		if err := json.Unmarshal(line, &record); err != nil {
			return Count{}, fmt.Errorf("record of the API server's audit log: %w", err)
		}
		if record.User.Username != username {
			continue
		}
		count.Requests++
		if record.Impersona == nil {
			count.Own[record.what()]++
		}
	}
	return count, nil
}

func (r auditRecord) what() string {
	if r.Object.Resource == "" {
		return r.Verb + " " + r.URI
	}
	if r.Object.Subresource != "" {
		return r.Verb + " " + r.Object.Resource + "/" + r.Object.Subresource
	}
	return r.Verb + " " + r.Object.Resource
}
