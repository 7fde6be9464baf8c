/** Starts a PostgreSQL server, prints its process and its directory, and waits to be killed. */
import { Postgres } from "../servers/postgres.ts"

const server = await Postgres.make()
const [directory = ""] = server.query("SHOW unix_socket_directories")
const [pid = ""] = server.query("SELECT pg_read_file('postmaster.pid')")
process.stdout.write(JSON.stringify([Number(pid), directory]))
setInterval(() => undefined, 1000)
