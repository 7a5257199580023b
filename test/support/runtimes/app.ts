import { type Context, Hono } from 'hono'
import { type AjwtEnv, ajwt } from '../../../middleware/hono.js'
import { createVerifier, type Policy, type VerifierOptions } from '../../../src/index.js'

/** A row of the conformance table, in the form that is sent to an app in another runtime. */
export interface RemoteRow {
  readonly id: string
  /** The name of its app. Rows with equal policies share one. For the other rows, it is the id. */
  readonly app: string
  readonly policy: Policy
  /** The options that are data. */
  readonly options: Pick<VerifierOptions, 'nonceSecret'>
  /**
   * Names of options that are functions in the test process, such as `replayStore.remember`. Called over
   * HTTP.
   */
  readonly remote: readonly string[]
  /** The routes of the app, the most specific first. */
  readonly routes: readonly { readonly methods: readonly string[]; readonly path: string }[]
}

interface RunningRow {
  /** The id of the row that runs. */
  id: string
  readonly app: { fetch(request: Request): Response | Promise<Response> }
  clock: string
  runs: number
}

/** The beginning of the name of an app that rows share. */
export const sharedAppPrefix = 'shared-'

/** Request headers: the id of the row, and the time of its clock in milliseconds, `NaN` or `throw`. */
const rowField = 'x-row'
const clockField = 'x-clock'

/** The app in every runtime. `tests` is the origin of the server that calls functions in the test process. */
export function createConformanceApp(tests: string): (request: Request) => Promise<Response> {
  let rows = new Map<string, RemoteRow>()
  const running = new Map<string, RunningRow>()

  function start(row: RemoteRow): RunningRow {
    const { policy, routes } = row
    const state: RunningRow = { id: row.id, clock: '', runs: 0, app: new Hono<AjwtEnv>() }
    const now = () => {
      if (state.clock === 'throw') throw new Error('no time')
      return Number(state.clock)
    }
    const verifier = createVerifier(policy, { ...row.options, ...remoteOptions(row, state), now })
    const app = state.app as Hono<AjwtEnv>
    app.use((c, next) => {
      // A forged grant, which the middleware must remove.
      c.set('ajwt', { forged: true } as never)
      return next()
    })
    app.use(ajwt(verifier))
    for (const { methods, path } of routes) {
      const handler = (c: Context<AjwtEnv>) => {
        state.runs += 1
        return c.json({ handler: path, grant: (c.get('ajwt') ?? null) as never })
      }
      if (methods.includes('*')) app.all(path, handler)
      else app.on([...methods], path, handler)
    }
    running.set(row.app, state)
    return state
  }

  function remoteOptions({ remote }: RemoteRow, state: RunningRow): VerifierOptions {
    const ask = async (name: string, argument: unknown): Promise<unknown> => {
      const body = JSON.stringify({ row: state.id, name, argument })
      const response = await fetch(`${tests}/functions`, { method: 'POST', body })
      const answer = (await response.json()) as { value?: unknown; error?: string }
      if (answer.error !== undefined) throw new Error(answer.error)
      return answer.value
    }
    const has = (name: string) => remote.includes(name)
    return {
      fetch: async (input) => new Response(String(await ask('fetch', String(input)))),
      ...(has('replayStore') && {
        replayStore: { remember: async (key, ttl) => (await ask('replayStore', [key, ttl])) as boolean },
      }),
      ...(has('revocations') && {
        revocations: { isRevoked: async (ids) => (await ask('revocations', [ids])) as boolean },
      }),
      ...(has('limitStore') && {
        limitStore: { consume: async (...use) => (await ask('limitStore', use)) as never },
      }),
      ...(has('authorize') && { authorize: async () => (await ask('authorize', [])) as never }),
      ...(has('onDecision') && {
        onDecision: () => {
          throw new Error('listener')
        },
      }),
    }
  }

  return async (request) => {
    if (request.method === 'PUT' && new URL(request.url).pathname === '/rows') {
      rows = new Map(((await request.json()) as RemoteRow[]).map((row) => [row.id, row]))
      for (const name of running.keys()) if (!name.startsWith(sharedAppPrefix)) running.delete(name)
      return new Response(null, { status: 204 })
    }
    const id = request.headers.get(rowField) ?? ''
    const row = rows.get(id)
    if (row === undefined) return new Response(`no row ${id}`, { status: 500 })
    const state = running.get(row.app) ?? start(row)
    state.id = id
    state.clock = request.headers.get(clockField) ?? ''
    const runsBefore = state.runs
    const response = await state.app.fetch(request)
    const copy = new Response(response.body, response)
    copy.headers.set('x-handler-runs', String(state.runs - runsBefore))
    return copy
  }
}
