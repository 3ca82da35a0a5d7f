package stack

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
)

// packed is user data as the template carries it: cloud-init unpacks what is
// compressed (https://cloudinit.readthedocs.io/en/latest/explanation/format.html),
// and a template has room for little more than twice the user data's 16 kB.
func packed(userData []byte) string {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(userData)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("stack: compress user data in memory: %v", err))
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}
