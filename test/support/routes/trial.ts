import type { RequestListener } from 'node:http'
import { type Answer, answerField, fromField } from './apps.js'
import { type Credential, type DeclaredRoute, satisfies } from './reference.js'
import { fieldsOf } from './tokens.js'
import { openWire, type RawRequest, type RawResponse, type Wire } from './wire.js'

/** Two servers with the same handlers: one behind `ajwt`, and one that shows which handler a request means. */
export interface Bench {
  readonly guarded: Wire
  readonly open: Wire
  close(): Promise<void>
}

export async function openBench(): Promise<Bench> {
  const guarded = await openWire()
  const open = await openWire()
  return {
    guarded,
    open,
    async close() {
      await guarded.close()
      await open.close()
    },
  }
}

/** What became of a request, from each caller who was made to try it. */
export interface Finding {
  /** The handler that the app runs for the request where nothing stands in front of it. */
  readonly meant: DeclaredRoute | undefined
  /** How many callers were let through to some handler, with the right to it. */
  readonly passed: number
}

/** An app on the bench, with and without `ajwt`. */
export interface Trial {
  /** Has a request tried by those who must not reach the handler that it means; throws where one does. */
  attempt(request: RawRequest): Promise<Finding>
  /** What a caller gets who holds no more than the scope of this route. */
  call(request: RawRequest, route: DeclaredRoute): Promise<{ status: number; answer: Answer | undefined }>
  /** Which handler a request means. */
  meaningOf(request: RawRequest): Promise<DeclaredRoute | undefined>
}

export function createTrial(
  bench: Bench,
  routes: readonly DeclaredRoute[],
  guarded: RequestListener,
  open: RequestListener,
): Trial {
  bench.guarded.serve(guarded)
  bench.open.serve(open)
  const byKey = new Map(routes.map((route) => [route.key, route]))
  const scopes = routes.flatMap(({ access }) => (typeof access === 'object' ? [access.scope] : []))

  async function send(request: RawRequest, credential: Credential): Promise<RawResponse> {
    const headers = [...request.headers, ...(await fieldsOf(credential))]
    return bench.guarded.send({ ...request, headers })
  }

  function handlerOf(response: RawResponse): DeclaredRoute | undefined {
    const answer = fromField(response.headers.get(answerField))
    return answer && byKey.get(answer.key)
  }

  async function meaningOf(request: RawRequest): Promise<DeclaredRoute | undefined> {
    return handlerOf(await bench.open.send(request))
  }

  /** Everybody who has less than the handler asks for: with nothing, and with every right but the one. */
  function intruders(meant: DeclaredRoute | undefined): readonly Credential[] {
    if (meant === undefined || typeof meant.access === 'string') return ['none']
    const { scope } = meant.access
    return ['none', new Set(scopes.filter((other) => other !== scope))]
  }

  return {
    meaningOf,
    async attempt(request) {
      const unguarded = await bench.open.send(request)
      const meant = handlerOf(unguarded)
      let passed = 0
      for (const credential of intruders(meant)) {
        const response = await send(request, credential)
        const ran = handlerOf(response)
        if (response.status >= 500 && unguarded.status < 500)
          throw new Error(report(`status ${response.status}`, request, credential))
        if (ran === undefined) continue
        if (!satisfies(credential, ran.access)) {
          throw new Error(report(`reached the handler of ${JSON.stringify(ran.key)}`, request, credential))
        }
        checkParams(response, ran)
        passed++
      }
      return { meant, passed }
    },
    async call(request, route) {
      const scope = typeof route.access === 'object' ? [route.access.scope] : []
      const credential = route.access === 'public' ? 'none' : new Set(scope)
      const response = await send(request, credential)
      const ran = handlerOf(response)
      if (ran !== undefined) checkParams(response, ran)
      return { status: response.status, answer: fromField(response.headers.get(answerField)) }
    },
  }

  function report(what: string, { method, target, headers }: RawRequest, credential: Credential): string {
    const caller = credential === 'none' ? 'nothing' : `the scopes ${JSON.stringify([...credential])}`
    const fields = headers.map(([name, value]) => `\n  ${name}: ${value}`).join('')
    const policy = routes.map(({ key, access }) => `\n  ${key} => ${JSON.stringify(access)}`).join('')
    return `A caller with ${caller} ${what}:\n  ${method} ${JSON.stringify(target)}${fields}\nin${policy}`
  }
}

/** A rule about parameters has judged what the handler gets to see. */
function checkParams(response: RawResponse, route: DeclaredRoute): void {
  const answer = fromField(response.headers.get(answerField)) as Answer
  if (answer.grant === null || answer.grant.route !== route.key.slice(route.key.indexOf(' ') + 1)) return
  const [own, judged] = [answer.params, answer.grant.params].map((params) => JSON.stringify(params))
  if (own !== judged) throw new Error(`${route.key}: the handler has ${own}, the rule had ${judged}`)
}
