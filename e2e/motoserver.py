"""Starts moto_server, with seven things that AWS does and moto 5.2 leaves out.

Volumes stand still in attaching or detaching as long as their tag test:stuck
says so, which is what happens to some at AWS. The others are what CloudFormation, EC2, Route 53 and IAM document; without them
nothing that is added on a condition could be seen, no scheduled action be found
by its name, no group could launch an instance whose root volume has its image's
size, no hosted zone had an id that looks like one, or could be asked for, and
nobody could be let put metrics.
"""
import sys

from moto.autoscaling.models import FakeScheduledAction
from moto.cloudformation import parsing
from moto.core import model_instances
from moto.ec2.models.elastic_block_store import EBSBackend
from moto.iam import access_control
from moto.moto_api._internal.responses import MotoAPIResponse
from moto.route53 import models as route53
from moto.server import main

stack_update = parsing.ResourceMap.update


def update(self, template, parameters=None):
    """Resources whose condition has become true are created; and those of
    kinds that moto cannot update are put anew."""
    stack_update(self, template, parameters)
    for name, resource in self._resource_json_map.items():
        condition = resource.get("Condition")
        if condition and self.lazy_condition_map[condition] and self._parsed_resources.get(name) is None:
            self._parsed_resources[name] = parsing.parse_and_create_resource(
                name, resource, self, self._account_id, self._region_name
            )


parsing.ResourceMap.update = update

action_create = FakeScheduledAction.create_from_cloudformation_json.__func__


def create_action(cls, resource_name, cloudformation_json, *args, **kwargs):
    """Actions of two groups are two, and their stacks know their names."""
    group = cloudformation_json["Properties"]["AutoScalingGroupName"]
    kwargs["LogicalId"] = group + "-" + kwargs["LogicalId"]
    return action_create(cls, resource_name, cloudformation_json, *args, **kwargs)


FakeScheduledAction.create_from_cloudformation_json = classmethod(create_action)
FakeScheduledAction.physical_resource_id = property(lambda self: self.scheduled_action_name)

volume_create = EBSBackend.create_volume


def create_volume(self, size=None, *args, **kwargs):
    """A root volume whose size nobody gives has that of the image."""
    if size is None and not kwargs.get("snapshot_id"):
        size = 8
    return volume_create(self, size, *args, **kwargs)


EBSBackend.create_volume = create_volume

volume_attach, volume_detach = EBSBackend.attach_volume, EBSBackend.detach_volume


def stuck(volume):
    return {tag["key"]: tag["value"] for tag in volume.get_tags()}.get("test:stuck")


def attach_volume(self, volume_id, *args, **kwargs):
    attachment = volume_attach(self, volume_id, *args, **kwargs)
    if attachment and stuck(attachment.volume) == "attaching":
        attachment.status = "attaching"
    return attachment


def detach_volume(self, volume_id, *args, **kwargs):
    volume = self.get_volume(volume_id)
    if volume.attachment and stuck(volume) == "detaching":
        volume.attachment.status = "detaching"
        return volume.attachment
    return volume_detach(self, volume_id, *args, **kwargs)


EBSBackend.attach_volume, EBSBackend.detach_volume = attach_volume, detach_volume

zone_id = route53.create_route53_zone_id
route53.create_route53_zone_id = lambda *args, **kwargs: "Z" + zone_id(*args, **kwargs)[1:]

access = access_control.IAMRequestBase.__init__


def request(self, *args, **kwargs):
    """The actions of CloudWatch begin with cloudwatch, not with the name that
    requests to it are signed for; and what Route 53 is asked without a body is
    signed without one."""
    access(self, *args, **kwargs)
    if self._service == "route53" and not self._body:
        self._data = ""
    self._action = self._action.replace("monitoring:", "cloudwatch:", 1)


access_control.IAMRequestBase.__init__ = request

dump = MotoAPIResponse.model_data
dumped = {"autoscaling": None, "cloudformation": None, "iam": ["Role"], "s3": ["FakeBucket"], "sns": None, "ssm": None}


def model_data(self, *args):
    """Of what there is, only what the suites ask for: the whole, with every
    type of instance and every policy of AWS, takes seconds."""
    everything = model_instances.model_data
    model_instances.model_data = {
        service: {name: model for name, model in everything[service].items() if names is None or name in names}
        for service, names in dumped.items()
        if service in everything
    }
    try:
        return dump(self, *args)
    finally:
        model_instances.model_data = everything


MotoAPIResponse.model_data = model_data

main(sys.argv[1:])
