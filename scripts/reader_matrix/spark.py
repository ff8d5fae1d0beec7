"""Spark with Iceberg, over REST and over JDBC: installing it, its process, and the two readers.

Owns: .tools-spark (or $SILTSTONE_SPARK) with its pinned versions. Does not own: what runs inside of the process
(`spark_worker`). Everything comes from PyPI and the system's packages.
"""

import glob
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys

from . import figures as of_figures
from .readers import TOPICS, answer_of_worker
from .servers import ANALYST, ROOT, Failure
from .worker import Worker

PACKAGES = ["pyspark==3.5.8", "snowpark-connect-deps-iceberg==1.0.2"]  # the second holds Iceberg's runtime for Spark
FOLDER = os.environ.get("SILTSTONE_SPARK") or os.path.join(ROOT, ".tools-spark")
RUNTIME = "lib/python*/site-packages/snowpark_connect_deps_iceberg/jars/iceberg-spark-runtime-3.5_2.12-*.jar"
JDBC = {"libpostgresql-jdbc-java": "/usr/share/java/postgresql.jar",
        "libxerial-sqlite-jdbc-java": "/usr/share/java/sqlite-jdbc.jar"}
NATIVE = "/usr/lib/*/jni/libsqlitejdbc.so"
# Spark counts a figure with a job of its own, so it is asked for fewer.
FIGURES = 12


def install():
    """Installs what is missing; quick if nothing is. Returns the Python and the jars."""
    setup = importlib.machinery.SourceFileLoader("setup_tools", os.path.join(ROOT, "scripts", "setup-tools"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("setup_tools", setup))
    setup.exec_module(module)
    missing = [package for package, jar in JDBC.items() if not os.path.exists(jar)]
    if not glob.glob(NATIVE):
        missing.append("libxerial-sqlite-jdbc-jni")
    if shutil.which("java") is None:
        missing.append("openjdk-17-jre-headless")
    if missing and not module.can_apt():
        raise Failure("Spark needs the packages %s: install them with your package manager" % " ".join(missing))
    if missing:
        module.apt_install(*missing)
    venv, stamp = os.path.join(FOLDER, "venv"), os.path.join(FOLDER, "stamp")
    python, key = os.path.join(venv, "bin", "python"), "\n".join(PACKAGES)
    if not os.path.exists(stamp) or open(stamp).read() != key:
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        # pyspark is a source distribution of Python files and jars.
        subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *PACKAGES], check=True)
        with open(stamp, "w") as file:
            file.write(key)
    [runtime] = glob.glob(os.path.join(venv, RUNTIME))
    return python, [runtime, *map(os.path.realpath, JDBC.values())]


class Spark(Worker):
    """One process for all lakes."""

    def __init__(self, servers):
        python, jars = install()
        native = os.path.dirname(glob.glob(NATIVE)[0])
        worker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spark_worker.py")
        folder = servers.path("spark")
        os.mkdir(folder)
        environment = {"PATH": os.environ["PATH"], "HOME": folder, "TZ": "UTC", "PYTHONUTF8": "1", "LANG": "C.UTF-8",
                       "SPARK_LOCAL_DIRS": folder, "SPARK_LOCAL_IP": "127.0.0.1"}
        self.names = 0
        command = [python, worker, os.path.join(ROOT, "scripts"), ",".join(jars), native]
        super().__init__(servers, "spark", command, environment, folder)

    def catalog(self, settings):
        """A session in which the catalog `siltstone` has these settings; returns its name. The name of the catalog is a part of
        the key of its tables in the layout of JDBC, so it is the same in every session."""
        self.names += 1
        prefix = "spark.sql.catalog.siltstone"
        values = {prefix: "org.apache.iceberg.spark.SparkCatalog", prefix + ".cache-enabled": "false"}
        values.update((prefix + "." + key, value) for key, value in settings.items())
        session = "session %d" % self.names
        self.ask(session=session, settings=values)
        return session


def catalog_settings(lake, way, login=ANALYST):
    if way == "rest":
        return {"type": "rest", "uri": lake.url + "/iceberg"}
    settings = {"type": "jdbc", "uri": lake.jdbc_uri(), "warehouse": "file://" + lake.folder + "/warehouse",
                "jdbc.schema-version": "V1", "jdbc.init-catalog-tables": "false"}
    if lake.catalog == "postgres":
        settings["jdbc.user"] = login
    return settings


def table_name(namespace, topic):
    return "siltstone.%s.`%s`" % (namespace, topic)


def reader(spark, way, lake):
    session = spark.catalog(catalog_settings(lake, way))

    def read(namespace, topic, figures):
        table = table_name(namespace, topic)
        asked = figures[:FIGURES] if namespace == TOPICS else figures[:1]
        statements = [of_figures.statement(figure, table, "spark") for figure in asked]
        found = spark.ask(session=session, table=table, figures=statements)
        return answer_of_worker(found, asked)

    return read
