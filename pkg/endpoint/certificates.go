package endpoint

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// checkCertificates says what keeps data from being PEM certificates and nothing else. A client's own
// parser would pass over what is wrong, and use the rest.
func checkCertificates(data []byte) string {
	rest := data
	for i := 1; len(bytes.TrimSpace(rest)) > 0; i++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if i == 1 {
				return "is not PEM, which begins with -----BEGIN CERTIFICATE-----"
			}
			return fmt.Sprintf("ends with something that is not PEM, behind %d certificates", i-1)
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Sprintf("must hold certificates alone, and block %d of it is none; a private key in it is public by now, replace it", i)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Sprintf("block %d is no certificate: %v", i, err)
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return "holds no certificate"
	}
	return ""
}
