package github

import "mayfly/iam"

// permissions are what the job needs of its store: segments are written once;
// what is kept of the listing is replaced; both are looked at after a reply
// was lost; the segments are listed for when each repository was last backed
// up.
func permissions() []iam.Statement {
	return append(iam.WriteOnce("{job}Segments", "*.zip"),
		iam.CreateOnly("{job}Listing", listingKey),
		iam.Replace("{job}Listing", listingKey),
		iam.Read("{job}ReadBack", "*.zip", listingKey),
		iam.List("{job}AgeOfBackups", "*"),
	)
}

const listingKey = "listing.json"
