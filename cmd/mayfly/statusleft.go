package main

import (
	"context"
	"fmt"
	"time"

	"mayfly/jobs/receive"
	"mayfly/runner"
)

// leftovers finds what nobody will remove by itself.
func (s *awsStatus) leftovers(ctx context.Context, aws services, c *runner.Config) error {
	name, region := string(c.Name), " --region "+aws.Region()
	machines, err := aws.ec2.Instances(ctx, tagKey, name)
	if err != nil {
		return err
	}
	states := map[string]string{}
	for _, i := range machines {
		states[i.ID] = i.State
		if s.in[i.ID] || i.State == "shutting-down" {
			continue
		}
		s.Leftover = append(s.Leftover, leftover{
			fmt.Sprintf("instance %s, %s, %s since %s", i.ID, i.Type, i.State, i.Launched.UTC().Format("2006-01-02 15:04 UTC")),
			"aws ec2 terminate-instances" + region + " --instance-ids " + i.ID,
		})
	}
	volumes, err := aws.ec2.Volumes(ctx, tagKey, name)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if v.Tags[hostTag] != "" { // which is data
			if left, ok := stillAttached(v, states[v.Instance], aws.Region()); ok {
				s.Leftover = append(s.Leftover, left)
			}
			continue
		}
		if v.Tags[receive.TagTemporary] != "" {
			if states[v.Instance] == "" {
				p := temporaryLeft(v, aws.Region())
				s.Leftover = append(s.Leftover, leftover{p.What, p.Cure})
			}
			continue
		}
		if v.State != "available" {
			continue
		}
		s.Leftover = append(s.Leftover, leftover{
			fmt.Sprintf("volume %s, %d GiB, of no instance", v.ID, v.GiB), "aws ec2 delete-volume" + region + " --volume-id " + v.ID,
		})
	}
	bucket, prefix := c.Store.Bucket()
	if prefix != "" {
		prefix += "/"
	}
	uploads, err := aws.Buckets().Unfinished(ctx, bucket, prefix, string(c.Store.Region))
	if err != nil {
		return err
	}
	for _, u := range uploads {
		// The next run drops those from before it, a run at work needs its own.
		if len(s.Instances) > 0 || time.Since(u.Began) < uploadAge {
			continue
		}
		s.Leftover = append(s.Leftover, leftover{
			fmt.Sprintf("unfinished upload of %s since %s", u.Key, u.Began.UTC().Format("2006-01-02 15:04 UTC")),
			fmt.Sprintf("aws s3api abort-multipart-upload --bucket %s --key %s --upload-id %s", bucket, u.Key, u.ID),
		})
	}
	return nil
}

// hostTag is on volumes that hold a host's data.
const hostTag = "mayfly:host"

// uploadAge is after how long an upload that is not finished is taken for one
// that never will be.
const uploadAge = 24 * time.Hour
