"""What has to be there before services start: database, roles, schemas, queues. Done again only when something changed."""

from importlib import import_module
from pathlib import Path
from typing import cast

from sqlalchemy.exc import SQLAlchemyError

from libs.common.db import migrate, monitor_role, owner_role, provision, provision_monitor, runtime_role
from libs.common.db.provision import backup_role, provision_backup
from libs.common.events.broker import BrokerUnavailable, subscribe
from libs.common.service import Service
from ops.errors import OperationError
from ops.plan import Plan
from ops.postgres import create_database


class Preparation:
    """What `python -m services.<name> migrate` does, without a process for each service: most of its time is starting up."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.services = list(plan.layout.services)

    @property
    def due(self) -> bool:
        """Whether code, database or broker are other ones than at the last preparation."""
        return not self._stamp.exists() or self._stamp.read_text(encoding="utf-8") != self._wanted

    def database(self) -> None:
        """Create the database, and bring every service's roles and schema up to date. Raises OperationError."""
        backing = self.plan.backing
        try:
            create_database(backing.maintenance_url(), backing.database_name)
            provision_monitor(backing.admin_url(), backing.database_password(monitor_role()))
            provision_backup(backing.admin_url(), backing.database_password(backup_role()))
            for name in self.services:
                passwords = [backing.database_password(role(name)) for role in (owner_role, runtime_role)]
                provision(backing.admin_url(), name, *passwords)
                migrate(name, backing.database_url(owner_role(name)), _service(name).metadata)
        except SQLAlchemyError as error:
            message = "The database could not be brought up to date; `make clean` begins with an empty one."
            raise OperationError(message, details=str(error)) from error

    def broker(self) -> None:
        """Create every subscription's queues: a first event must not find nobody listening. Raises OperationError."""
        for name in self.services:
            try:
                subscribe(self.plan.backing.amqp_url(name), _service(name).declared_subscriptions)
            except BrokerUnavailable as error:
                raise OperationError("RabbitMQ does not let us in. Check AMQP_URL, or unset it.", details=str(error)) from error

    def forget(self) -> None:
        """Let the next start prepare everything again."""
        self._stamp.unlink(missing_ok=True)

    def done(self) -> None:
        """Remember that all is prepared."""
        self._stamp.write_text(self._wanted, encoding="utf-8")

    @property
    def _stamp(self) -> Path:
        return self.plan.layout.run / "prepared"

    @property
    def _wanted(self) -> str:
        addresses = (self.plan.backing.admin_url(), self.plan.backing.amqp_url("auth"))
        return " ".join([self.plan.environments.revision, *(address.rpartition("@")[2] for address in addresses)])


def _service(name: str) -> Service:
    return cast("Service", import_module(f"services.{name}.app").service)
