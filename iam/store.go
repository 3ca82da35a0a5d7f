package iam

// What the methods of a store call for. Keys are relative to the place and may
// hold wildcards; an asterisk also matches slashes.

// WriteOnce is for objects that are created, in one request or in parts, and
// never replaced: a request that could overwrite is denied. Parts carry no
// condition, so they are let through by what they are.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
func WriteOnce(what string, keys ...string) []Statement {
	return []Statement{
		CreateOnly(what, keys...),
		{
			Sid: what + "InParts", Actions: []string{"s3:PutObject"}, Resources: objects(keys),
			Conditions: map[string]map[string][]string{"Bool": {"s3:ObjectCreationOperation": {"false"}}},
		},
		{Sid: what + "DropUnfinished", Actions: []string{"s3:AbortMultipartUpload"}, Resources: objects(keys)},
		{
			// An upload whose reply was lost is found by listing. The service
			// knows no condition on the prefix here.
			// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
			Sid: "FindUnfinishedUploads", Actions: []string{"s3:ListBucketMultipartUploads"}, Resources: []string{bucket},
		},
	}
}

// CreateOnly is for objects that are created in one request and never replaced.
func CreateOnly(what string, keys ...string) Statement {
	return Statement{
		Sid: what + "OnlyNew", Actions: []string{"s3:PutObject"}, Resources: objects(keys),
		Conditions: map[string]map[string][]string{"Null": {"s3:if-none-match": {"false"}}},
	}
}

// Replace is for objects that are replaced by a request that names the version
// it replaces. Creating them is CreateOnly's.
func Replace(what string, keys ...string) Statement {
	return Statement{
		Sid: what + "IfUnchanged", Actions: []string{"s3:PutObject"}, Resources: objects(keys),
		Conditions: map[string]map[string][]string{"Null": {"s3:if-match": {"false"}}},
	}
}

// Read is for objects that are read or looked at.
func Read(what string, keys ...string) Statement {
	return Statement{Sid: what, Actions: []string{"s3:GetObject"}, Resources: objects(keys)}
}

// List is for listing what begins with a prefix, and for being told that an
// object is missing instead of being denied: S3 then takes the object's key for
// the prefix (https://github.com/ceph/ceph/pull/68577 has the same).
func List(what string, prefixes ...string) Statement {
	s := Statement{Sid: what, Actions: []string{"s3:ListBucket"}, Resources: []string{bucket}}
	for _, p := range prefixes {
		s.where("StringLike", "s3:prefix", "{prefix}"+p)
	}
	return s
}

const bucket = "arn:{partition}:s3:::{bucket}"

func objects(keys []string) []string {
	arns := make([]string, len(keys))
	for i, k := range keys {
		arns[i] = bucket + "/{prefix}" + k
	}
	return arns
}

// Write is for objects that are written whatever has been there, in one request
// or in parts.
func Write(what string, keys ...string) []Statement {
	return []Statement{
		{Sid: what, Actions: []string{"s3:PutObject"}, Resources: objects(keys)},
		{Sid: what + "DropUnfinished", Actions: []string{"s3:AbortMultipartUpload"}, Resources: objects(keys)},
		{Sid: "FindUnfinishedUploads", Actions: []string{"s3:ListBucketMultipartUploads"}, Resources: []string{bucket}},
	}
}

// Delete is for objects that are deleted; versions of them stay in a bucket
// that keeps versions.
func Delete(what string, keys ...string) Statement {
	return Statement{Sid: what, Actions: []string{"s3:DeleteObject"}, Resources: objects(keys)}
}

// EncryptObjects is for objects that S3 encrypts with a key of the user's own.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
func EncryptObjects(what, keyARN string) Statement {
	s := Statement{Sid: what, Actions: []string{"kms:Decrypt", "kms:GenerateDataKey"}, Resources: []string{keyARN}}
	s.where("StringLike", "kms:ViaService", "s3.*.{domain}")
	return s
}
