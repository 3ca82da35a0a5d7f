package stack

// abortAfter is after how many days an upload that was never completed goes.
// A run drops its own; this is for those of runs that were killed.
const abortAfter = 7

// bucket adds the bucket, hardened, and so that nothing ever deletes it.
func (b builder) bucket() {
	b.output(OutputBucket, "The bucket with everything in it", b.bucketRef())
	if !b.Bucket.Create {
		return
	}
	noncurrent := b.Bucket.Noncurrent
	if noncurrent == 0 {
		noncurrent = 30
	}
	b.add("Bucket", resource{
		Type: "AWS::S3::Bucket", DeletionPolicy: "Retain", UpdateReplacePolicy: "Retain",
		Properties: object{
			"BucketName":              b.Bucket.Name,
			"VersioningConfiguration": object{"Status": "Enabled"},
			"PublicAccessBlockConfiguration": object{
				"BlockPublicAcls": true, "BlockPublicPolicy": true, "IgnorePublicAcls": true, "RestrictPublicBuckets": true,
			},
			"OwnershipControls": object{"Rules": list{object{"ObjectOwnership": "BucketOwnerEnforced"}}},
			"BucketEncryption": object{"ServerSideEncryptionConfiguration": list{object{
				"ServerSideEncryptionByDefault": object{"SSEAlgorithm": "AES256"},
			}}},
			"LifecycleConfiguration": object{"Rules": list{
				object{
					"Id": "DropUnfinishedUploads", "Status": "Enabled",
					"AbortIncompleteMultipartUpload": object{"DaysAfterInitiation": abortAfter},
				},
				object{
					"Id": "DropOldVersions", "Status": "Enabled",
					"NoncurrentVersionExpiration": object{"NoncurrentDays": noncurrent},
					"ExpiredObjectDeleteMarker":   true,
				},
			}},
			"Tags": b.tags(),
		},
	})
	// The policy stays with the bucket: what is kept is kept safe.
	b.add("BucketPolicy", resource{
		Type: "AWS::S3::BucketPolicy", DeletionPolicy: "Retain", UpdateReplacePolicy: "Retain",
		Properties: object{
			"Bucket": ref("Bucket"),
			"PolicyDocument": policyDocument(object{
				"Sid": "TLSOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
				"Resource":  list{sub("arn:${AWS::Partition}:s3:::${Bucket}"), sub("arn:${AWS::Partition}:s3:::${Bucket}/*")},
				"Condition": object{"Bool": object{"aws:SecureTransport": "false"}},
			}),
		},
	})
}

// bucketRef is the bucket's name; through the resource, where there is one, so
// that it comes first.
func (b builder) bucketRef() any {
	if b.Bucket.Create {
		return ref("Bucket")
	}
	return b.Bucket.Name
}

// inBucket is a key in the store.
func (b builder) inBucket(key string) string {
	if b.Bucket.Prefix == "" {
		return key
	}
	return b.Bucket.Prefix + "/" + key
}
