# A spout in a few lines of Python, exactly once: whole numbers, a hundred in a file.
# It may be killed anywhere. What it has to know when it starts again is in the description
# of the commit, which FinishCommit sets in one step with what is in it.
import json
import os
import sys
import time

import grpc
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs

MARK = "numbers "  # begins our descriptions


def token():
    """The pipeline's token, where authentication is on."""
    try:
        with open("/pachctl/config.json") as file:
            config = json.load(file)["v2"]
        return config["contexts"][config["active_context"]]["session_token"]
    except FileNotFoundError:
        return None


# Only the sidecar of this pod may write the output branch.
client = Client(host="127.0.0.1", port=int(os.environ["PEER_PORT"]), auth_token=token())
project = pfs.Project(name=os.environ["PPS_PROJECT_NAME"])
repo = pfs.Repo(name=os.environ["PPS_PIPELINE_NAME"], type="user", project=project)
branch = pfs.Branch(repo=repo, name="master")


def newest():
    """The branch's newest commit, or None. The sidecar may start later than this does."""
    while True:
        try:
            return client.pfs.inspect_branch(branch=branch).head
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return None
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(1)


def finished(commit):
    return client.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED)


def where_we_got_to(commit):
    """Walks back to the newest good commit of ours, and clears away what is open."""
    while commit and commit.id:
        info = client.pfs.inspect_commit(commit=commit)
        if info.finishing.timestamp() <= 0:
            # Ours, from before we were killed: nobody is to count it. Or one that Pachyderm has left open.
            ours = info.description.startswith(MARK)
            client.pfs.finish_commit(commit=commit, error="left behind" if ours else "")
        info = finished(commit)
        if not info.error and info.description.startswith(MARK):
            return json.loads(info.description[len(MARK) :])["next"]
        commit = info.parent_commit
    return 0


head = newest()
position = where_we_got_to(head)
print("starting at", position, flush=True)
while True:
    commit = client.pfs.start_commit(branch=branch, description=MARK + "{}")
    parent = client.pfs.inspect_commit(commit=commit).parent_commit
    if head and parent.id != head.id:
        client.pfs.finish_commit(commit=commit, error="somebody else has written this branch")
        sys.exit(1)  # and start again: never with 0, which is for good
    numbers = range(position, position + 100)
    data = "".join(f"{n}\n" for n in numbers).encode()
    path = f"/numbers/{numbers[0]:012d}-{numbers[-1]:012d}.txt"
    client.pfs.put_file_from_bytes(commit=commit, path=path, data=data)
    position += 100
    client.pfs.finish_commit(commit=commit, description=MARK + json.dumps({"next": position}))
    if finished(commit).error:
        sys.exit("the commit was refused: " + finished(commit).error)
    head = commit  # from here on, the source may forget the batch
    time.sleep(2)
