"""An app whose clients keep a state of some size from message to message; ``state.py`` runs it."""

import json
import time
from pathlib import Path
from statistics import median

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from platformdirs import user_state_path
from safetensors.torch import load_file, save_file

from flower_dgan.flower.grid import FastGrid
from flower_dgan.flower.ledger import Ledger

app = ServerApp()
client = ClientApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Send messages one after the other, and write the median of their seconds; the first three are warm-up."""
    clients, values, messages, output = str(context.run_config["overrides"]).split()
    fast = FastGrid(grid, Ledger())
    while len(nodes := list(fast.get_node_ids())) < int(clients):
        time.sleep(0.1)
    found = {}
    for place in ("context", "file", "nothing"):
        seconds = []
        for _ in range(int(messages) + 3):
            content = RecordDict({"order": ConfigRecord({"place": place, "values": int(values)})})
            start = time.monotonic()
            replies = fast.send_and_receive([Message(content, dst_node_id=n, message_type="query") for n in nodes])
            seconds.append(time.monotonic() - start)
            assert not any(reply.has_error() for reply in replies), replies
        found[place] = median(seconds[3:])
    Path(output).write_text(json.dumps(found), encoding="utf-8")


@client.query()
def query(message: Message, context: Context) -> Message:
    """Read the state from where it is, add one to it and put it back."""
    order = message.content.config_records["order"]
    fresh = {"state": torch.zeros(int(order["values"]))}  # type: ignore[arg-type]
    if order["place"] == "context":
        kept = context.state.array_records.get("kept")
        tensors = kept.to_torch_state_dict() if kept else fresh
        context.state["kept"] = ArrayRecord({name: tensor + 1 for name, tensor in tensors.items()})
        return Message(RecordDict(), reply_to=message)
    context.state.pop("kept", None)
    path = user_state_path("flower-dgan") / f"benchmark-{context.run_id}-{context.node_id}.safetensors"
    if order["place"] == "file":
        tensors = load_file(path) if path.is_file() else fresh
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor + 1 for name, tensor in tensors.items()}, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    else:
        path.unlink(missing_ok=True)
    return Message(RecordDict(), reply_to=message)
