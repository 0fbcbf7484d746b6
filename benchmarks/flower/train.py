"""Federated averaging of a logistic regression by Flower's simulation, over the tables of a folder, one owner each.

    python train.py FOLDER

The same as `algorithms/federated` does under `data/heart/plan.json`: ten rounds of ten epochs of full gradient descent, and an
evaluation. Reading tables and standardising them is done before the clock starts, and workers keep what they have read.
Prints JSON: seconds with and without the start of the simulation, bytes of weights to owners and back, accuracy.
"""

import json
import logging
import sys
import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common import Message
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from owners import FEATURES, owner, prepare

# As `algorithms/federated/src/params.rs` has them.
ROUNDS, EPOCHS, LEARNING_RATE, L2 = 10, 10, 0.5, 0.03


def probability(weights, features):
    return 1 / (1 + np.exp(-(features @ weights)))


FOLDER = str(Path(sys.argv[1]).resolve())
client, server = ClientApp(), ServerApp()
measured = {}


@client.train()
def train(message, context):
    data = owner(FOLDER, int(context.node_config["partition-id"]))
    features, labels = data["train"], data["train_labels"]
    weights = message.content["arrays"].to_numpy_ndarrays()[0].copy()
    for _ in range(EPOCHS):
        slope = features.T @ (probability(weights, features) - labels) / len(labels)
        slope[1:] += L2 * weights[1:]
        weights -= LEARNING_RATE * slope
    metrics = MetricRecord({"num-examples": len(labels)})
    return Message(RecordDict({"arrays": ArrayRecord([weights]), "metrics": metrics}), reply_to=message)


@client.evaluate()
def evaluate(message, context):
    data = owner(FOLDER, int(context.node_config["partition-id"]))
    features, labels = data["test"], data["test_labels"]
    weights = message.content["arrays"].to_numpy_ndarrays()[0]
    correct = float(np.mean((probability(weights, features) >= 0.5) == labels))
    return Message(
        RecordDict({"metrics": MetricRecord({"num-examples": len(labels), "accuracy": correct})}), reply_to=message
    )


class Last(FedAvg):
    """Evaluates in the last round alone, as ours does."""

    def configure_evaluate(self, server_round, arrays, config, grid):
        return super().configure_evaluate(server_round, arrays, config, grid) if server_round == ROUNDS else []


@server.main()
def main(grid, context):
    initial = ArrayRecord([np.zeros(len(FEATURES) + 1)])
    start = time.perf_counter()
    result = Last(min_available_nodes=OWNERS).start(grid=grid, initial_arrays=initial, num_rounds=ROUNDS)
    measured["seconds_of_rounds"] = time.perf_counter() - start
    measured["accuracy"] = result.evaluate_metrics_clientapp[ROUNDS]["accuracy"]
    # Ten rounds there and back, and once more to evaluate.
    measured["bytes"] = initial.count_bytes() * OWNERS * (2 * ROUNDS + 1)


if __name__ == "__main__":
    logging.disable(logging.INFO)
    OWNERS = prepare(Path(FOLDER))
    begin = time.perf_counter()
    run_simulation(server, client, OWNERS, backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}})
    print(json.dumps({"seconds": time.perf_counter() - begin, **measured}))
