package github

import (
	"mayfly/iam"
	"mayfly/internal/archive"
)

// permissions are what the job needs of its store: segments are written once,
// and read where the next one goes on from them; what is kept of GitHub's
// listing and of the segments is replaced; all are looked at after a reply was
// lost; the segments are listed for what there is.
func permissions() []iam.Statement {
	return append(iam.WriteOnce("{job}Segments", "*.zip"),
		iam.CreateOnly("{job}Caches", listingKey, archive.IndexKey("")),
		iam.Replace("{job}Caches", listingKey, archive.IndexKey("")),
		iam.Read("{job}ReadBack", "*.zip", listingKey, archive.IndexKey("")),
		iam.List("{job}WhatThereIs", "*"),
	)
}

const listingKey = "listing.json"
