import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'vitest'
import { routesOf } from '../../../fixtures/conformance/apps.js'
import { type Row, type Step, stepsOf } from '../../../fixtures/conformance/row.js'
import { JWKS_URI, optionsOf, policyOf } from '../../../fixtures/conformance/run.js'
import { send, type WireResponse } from '../../../fixtures/conformance/wire.js'
import { createKit, type Kit, type WireRequest } from '../../../fixtures/kit.js'
import type { VerifierOptions } from '../../../src/index.js'
import { assertResponse } from '../conformance/column.js'
import { sharedKeyOf } from '../conformance/shared.js'
import { type RemoteRow, sharedAppPrefix } from './app.js'
import { differences } from './differences.js'
import { type Runtime, type RuntimeServer, startIn } from './servers.js'

/** Runs rows in all runtimes at once. Each request is signed once and sent to all of them. */
export interface RemoteTable {
  readonly runtimes: readonly Runtime[]
  /** Sends these rows to every runtime and replaces the previous ones. */
  load(rows: readonly Row[]): Promise<void>
  /** Throws if the response of a runtime is not the expected one. */
  run(row: Row): Promise<void>
  close(): void
}

const functionNames = ['replayStore', 'revocations', 'limitStore', 'authorize', 'onDecision'] as const

export async function startRemoteTable(runtimes: readonly Runtime[]): Promise<RemoteTable> {
  /** By runtime and row id. */
  const options = new Map<string, VerifierOptions>()
  const functions = await serveFunctions((name) => options.get(name))
  const servers = new Map<Runtime, RuntimeServer>()
  await Promise.all(
    runtimes.map(async (runtime) => {
      const variables = { TESTS: `http://127.0.0.1:${functions.port}/${runtime}` }
      servers.set(runtime, await startIn(runtime, `${runtime}.ts`, variables))
    }),
  )

  async function runIn(row: Row, kit: Kit, names: ReadonlyMap<Runtime, string>): Promise<void> {
    for (const step of stepsOf(row, kit)) {
      kit.advance(step.after ?? 0)
      const request = await step.request(kit)
      const nonces = await Promise.all(
        [...names].map(async ([runtime, name]) => {
          const { port } = servers.get(runtime) as RuntimeServer
          const fields = [
            ['x-row', row.id],
            ['x-clock', clockOf(options.get(name))],
          ] as const
          const response = await send(port, { ...request, headers: [...request.headers, ...fields] })
          assertInRuntime(runtime, row, step, request, response)
          return response.headers.find(([field]) => field === 'dpop-nonce')?.[1]
        }),
      )
      // All runtimes have the same secret and clock, so the nonces are equal.
      expect(new Set(nonces).size).toBe(1)
      kit.nonce = nonces[0]
    }
  }

  return {
    runtimes,
    async load(rows) {
      const body = JSON.stringify(rows.map(toRemote))
      for (const { port } of servers.values()) {
        const { status } = await fetch(`http://127.0.0.1:${port}/rows`, { method: 'PUT', body })
        expect(status).toBe(204)
      }
    },
    async run(row) {
      const kit = createKit(row.now)
      const fetched: string[] = []
      const names = new Map(runtimes.map((runtime) => [runtime, `${runtime} ${row.id}`]))
      for (const name of names.values()) options.set(name, optionsOf(row, kit, fetched))
      await runIn(row, kit, names)
      expect(fetched.filter((url) => row.jwks === undefined || url !== JWKS_URI)).toEqual([])
    },
    close() {
      functions.close()
      for (const server of servers.values()) server.close()
    },
  }
}

/**
 * Some servers resolve dot segments before the app gets the path. So the expectation of the core, which gets
 * the path as sent, and that of Hono on Node, which gets it resolved, are both accepted.
 */
function assertInRuntime(
  runtime: Runtime,
  row: Row,
  step: Step,
  request: WireRequest,
  response: WireResponse,
): void {
  const runs = Number(response.headers.find(([field]) => field === 'x-handler-runs')?.[1] ?? 0)
  const settled = differences[row.id]?.[runtime]
  if (settled !== undefined) {
    expect([settled].flat()).toContain(Number.isNaN(response.status) ? 'closed' : `${response.status}`)
    expect(runs).toBe(0)
    return
  }
  const expected = [step.expect, ...(step.on?.hono === undefined ? [] : [step.on.hono])]
  const errors = expected.flatMap((expectation) => {
    try {
      assertResponse(response, runs, expectation, request, policyOf(row))
      return []
    } catch (error) {
      return [error]
    }
  })
  if (errors.length < expected.length) return
  throw new AggregateError(errors, `${runtime} answers ${response.status} ${response.body}`)
}

/** A number for each policy that rows share. */
const sharedNumbers = new Map<string, number>()

function appOf(row: Row): string {
  const key = sharedKeyOf(row)
  if (key === undefined) return row.id
  const number = sharedNumbers.get(key) ?? sharedNumbers.size
  sharedNumbers.set(key, number)
  return `${sharedAppPrefix}${number}`
}

function toRemote(row: Row): RemoteRow {
  const policy = policyOf(row)
  const options = row.options?.(createKit(row.now)) ?? {}
  const { nonceSecret } = options
  return {
    id: row.id,
    app: appOf(row),
    policy,
    options: nonceSecret === undefined ? {} : { nonceSecret },
    remote: functionNames.filter((name) => options[name] !== undefined),
    routes: routesOf(policy),
  }
}

function clockOf(options: VerifierOptions | undefined): string {
  try {
    return String(options?.now?.())
  } catch {
    return 'throw'
  }
}

/** Serves calls of functions in rows, which an app in another runtime cannot call directly. */
async function serveFunctions(optionsOfName: (name: string) => VerifierOptions | undefined) {
  async function call(runtime: string, body: string): Promise<unknown> {
    const { row, name, argument } = JSON.parse(body)
    const { fetch, replayStore, revocations, limitStore, authorize } =
      optionsOfName(`${runtime} ${row}`) ?? {}
    if (name === 'fetch') return fetch && (await fetch(argument)).text()
    if (name === 'limitStore') return limitStore?.consume(...(argument as [string, number, number, number]))
    // The hooks of the rows look at nothing.
    if (name === 'authorize') return authorize?.(undefined as never)
    if (name === 'replayStore') return replayStore?.remember(...(argument as [string, number]))
    return revocations?.isRevoked(...(argument as [string[]]))
  }

  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    try {
      const value = await call(request.url?.split('/')[1] ?? '', body)
      response.end(JSON.stringify({ value }))
    } catch (error) {
      response.end(JSON.stringify({ error: String(error) }))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
