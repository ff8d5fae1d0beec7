"""The command: arguments, the servers, one lake after the other, the sum.

Owns: the exit status. Does not own: the stages of a lake (`stages`).
"""

import argparse
import os
import signal
import sys
import traceback

from . import expectations
from .lake import KINDS, Lake
from .servers import ROOT, Failure, Servers, test_command
from .stages import STAGES, Matrix


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/reader-matrix",
                                     description="Compares what every reader shows of the same lakes.")
    parser.add_argument("--spark", action="store_true", help="also Spark with Iceberg, which is installed at the first time")
    parser.add_argument("--seconds", type=int, default=25, help="time of the readers that read while objects come and go")
    parser.add_argument("--lake", action="append", choices=list(KINDS),
                        help="only this kind of lake; may be given more than once")
    parser.add_argument("--stage", action="append", choices=STAGES,
                        help="compare after this stage only; may be given more than once")
    parser.add_argument("--binaries", default=os.path.join(ROOT, "target", "debug"),
                        help="folder of siltstone, writer and ingester")
    return parser.parse_args()


def main():
    given = arguments()
    test_command.clear_dead_runs()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, test_command.interrupted)
    servers = Servers(os.path.abspath(given.binaries))
    try:
        spark = None
        if given.spark:
            from .spark import Spark
            spark = Spark(servers)
        matrix = Matrix(spark, given.seconds, given.stage or STAGES)
        for name in given.lake or KINDS:
            lake = Lake(name, servers)
            try:
                matrix.run(lake)
            except Exception as error:  # the other lakes are compared all the same
                traceback.print_exc()
                matrix.line(lake, "-", "-", "the run ended early: %s" % error)
            lake.duckdb.close()
        for line in expectations.report():
            print("expected of " + line)
        if spark:
            print("not compared: Spark with objects on S3, for which no S3 client of Spark comes from the package registries")
            spark.close()
    finally:
        servers.stop()
    print("%d compared, %d differ" % (matrix.compared, matrix.differ), flush=True)
    return 1 if matrix.differ else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit("scripts/reader-matrix: %s" % failure)
