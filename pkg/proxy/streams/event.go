package streams

import (
	"bytes"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/watch"
)

// Media types of watches. The API server adds ";stream=watch" to all but JSON's.
const (
	jsonType     = runtime.ContentTypeJSON
	protobufType = runtime.ContentTypeProtobuf
)

// errorEvent is the last event of a watch, in the encoding of the others.
//
// Its status is 401 with reason Unauthorized, never "Expired": that word is for resource versions,
// and client-go's reflector would list again at once and count the watch as ended well. On 401 it
// logs the message, backs off and lists; the answer to that list is 401 as well, upon which client-go
// fetches a new credential, and the next list is good. Without any event it would begin with a
// watch instead of the list, for the same number of requests and with nothing to read in the log.
// kubectl get -w prints the status as a row of its own.
func errorEvent(f framing, end *End) ([]byte, error) {
	switch f {
	case lines:
		return jsonEvent(end)
	case prefixed:
		return protobufEvent(end)
	}
	return nil, fmt.Errorf("watch with events of an unknown encoding")
}

func jsonEvent(end *End) ([]byte, error) {
	status, err := json.Marshal(end.Status())
	if err != nil {
		return nil, fmt.Errorf("encode the last event: %w", err)
	}
	event, err := json.Marshal(&metav1.WatchEvent{Type: string(watch.Error), Object: runtime.RawExtension{Raw: status}})
	if err != nil {
		return nil, fmt.Errorf("encode the last event: %w", err)
	}
	return append(event, '\n'), nil
}

func protobufEvent(end *End) ([]byte, error) {
	var status bytes.Buffer
	if err := protobuf.NewSerializer(nil, nil).Encode(end.Status(), &status); err != nil {
		return nil, fmt.Errorf("encode the last event: %w", err)
	}
	event, err := (&metav1.WatchEvent{Type: string(watch.Error), Object: runtime.RawExtension{Raw: status.Bytes()}}).Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode the last event: %w", err)
	}
	return prefix(event), nil
}

// logLine is the last line of a log that is followed; it must not pass for one of the container's.
func logLine(end *End) []byte {
	return []byte("[loft-agent: the log ends here: " + end.Message + "]\n")
}
