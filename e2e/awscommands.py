"""Runs aws commands, each given as a line of JSON, in one process: starting the
aws command anew takes most of a second of a processor."""
import functools
import io
import json
import os
import sys

from awscli.clidriver import create_clidriver, botocore

# What describes the services is the same for all commands, and takes a third
# of a second to be read.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

answers = sys.stdout
sys.argv = ["aws"]
data = {"AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]}  # which awscli has put there
for line in sys.stdin:
    request = json.loads(line)
    os.environ.clear()
    os.environ.update(request["env"] | data)
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    sys.stdout, sys.stderr = out, err
    try:
        code = create_clidriver().main(request["args"])
    except SystemExit as e:
        code = e.code
    finally:
        sys.stdout, sys.stderr = answers, sys.__stderr__
    said = {"code": code or 0} | {name: b.buffer.getvalue().decode("utf-8", "replace") for name, b in (("out", out), ("err", err))}
    print(json.dumps(said), flush=True)
