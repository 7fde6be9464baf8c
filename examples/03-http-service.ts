/**
 * An HTTP service in which each request is one audit transaction: `node examples/03-http-service.ts`
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Console, Effect, Layer, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiClient, HttpApiEndpoint, HttpApiError, HttpApiGroup } from "effect/http-api"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { AuditLog, FileAppender } from "../src/index.ts"

const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "auditlog-")), "audit.jsonl")

// #region service
class Audit extends AuditLog.Service<Audit>()("roles/Audit", {
  schema: Schema.TaggedUnion({
    RoleRevoked: { actor: Schema.String, role: Schema.String },
    RoleGranted: { actor: Schema.String, role: Schema.String }
  })
}) {}

const Api = HttpApi.make("roles").add(
  HttpApiGroup.make("roles").add(
    HttpApiEndpoint.post("replace", "/roles/:actor", {
      params: { actor: Schema.String },
      payload: Schema.Struct({ from: Schema.String, to: Schema.String }),
      error: [HttpApiError.ForbiddenNoContent, HttpApiError.ServiceUnavailableNoContent]
    })
  )
)

const Handlers = HttpApiBuilder.group(
  Api,
  "roles",
  Effect.fnUntraced(function*(handlers) {
    const audit = yield* Audit
    return handlers.handleAll({
      replace: Effect.fn("replace")(
        function*({ params: { actor }, payload: { from, to } }) {
          yield* audit.append({ _tag: "RoleRevoked", actor, role: from })
          if (to === "root") return yield* new HttpApiError.Forbidden()
          yield* audit.append({ _tag: "RoleGranted", actor, role: to })
        },
        // One transaction a request: its records are durable before the response leaves, or none of them lands.
        audit.transaction,
        Effect.catchTag("AuditError", () => new HttpApiError.ServiceUnavailable())
      )
    })
  })
)

const AuditLive = Audit.layer.pipe(Layer.provide(FileAppender.layer({ path: file })))

const Routes = HttpApiBuilder.layer(Api).pipe(Layer.provide(Handlers), Layer.provide(AuditLive))
// #endregion service

const requests = Effect.gen(function*() {
  const client = yield* HttpApiClient.make(Api)
  for (const to of ["admin", "root"]) {
    const outcome = yield* client.roles.replace({ params: { actor: "ada" }, payload: { from: "guest", to } }).pipe(
      Effect.as("done"),
      Effect.catchTag("Forbidden", () => Effect.succeed("forbidden"))
    )
    yield* Console.log(`POST /roles/ada, guest -> ${to}: ${outcome}`)
  }
})

// A server on a free port of the loopback interface, and a client that knows the port.
const Server = HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeHttpServer.layerTest)
)

await Effect.runPromise(Effect.provide(requests, Server))
console.log(`\n${file} holds:\n${fs.readFileSync(file, "utf8")}`)
