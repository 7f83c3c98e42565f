"""Says which service of a given bench can't be reached, or refuses us, before anything is changed in it.

Runs in the bench's sites folder, with the site as its argument. It only connects and asks for nothing.
"""

import os
import sys

import redis

import frappe
import frappe.database

ACCESS_DENIED = (1044, 1045, 1698)


def main(site: str) -> None:
	exists = os.path.exists(f"{site}/site_config.json")
	frappe.init(site if exists else "", sites_path=".")
	conf = frappe.conf
	if conf.db_type != "mariadb":
		stop(f"This bench's database is {conf.db_type}.", "gdpr_consent is tested with MariaDB only.")

	for name in ("redis_cache", "redis_queue"):
		try:
			redis.from_url(conf[name]).ping()
		except redis.AuthenticationError:
			stop(f"{conf[name]} refuses its password.", f"Correct {name} in {common_config()}.")
		except (redis.RedisError, OSError) as error:
			stop(
				f"No Redis answers at {conf[name]} ({error}).",
				f"Start the bench's services (bench start), or correct {name} in {common_config()}.",
			)

	if exists:
		user, password, where = conf.db_user or conf.db_name, conf.db_password, f"{site}/site_config.json"
	else:
		user = os.environ.get("DB_ROOT_USER") or conf.root_login or "root"
		password = os.environ.get("DB_ROOT_PASSWORD") or conf.root_password
		where = "the environment variable DB_ROOT_PASSWORD (and DB_ROOT_USER, if it isn't root)"
		if not password:
			stop(
				f"To create {site}, the database's administrator has to log in.",
				f"Put the password into {where}.",
			)

	server = conf.db_socket or f"{conf.db_host}:{conf.db_port}"
	try:
		frappe.database.get_db(
			socket=conf.db_socket,
			host=conf.db_host,
			port=conf.db_port,
			user=user,
			password=password,
			cur_db_name=conf.db_name if exists else None,
		).sql("select 1")
	except Exception as error:  # the driver differs between Frappe versions, the first argument doesn't
		code = error.args[0] if error.args else None
		if code in ACCESS_DENIED:
			stop(f"The database at {server} refuses the password of {user}.", f"Correct it in {where}.")
		stop(
			f"No database answers at {server} ({error}).",
			f"Start MariaDB, or correct db_host, db_port or db_socket in {common_config()}.",
		)


def common_config() -> str:
	return os.path.abspath("common_site_config.json")


def stop(what_happened: str, what_to_do: str) -> None:
	sys.exit(f"\n{what_happened}\n{what_to_do}")


main(*sys.argv[1:])
