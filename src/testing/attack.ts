import { corpus } from './corpus.js'
import type { Mint, TestCall } from './mint.js'

/** An API: its origin, or a function such as Hono's `app.fetch`. */
export type TestApp = string | URL | ((request: Request) => Response | Promise<Response>)

/** The honest request that is attacked, what goes with it, and what else of the app can be attacked. */
export interface AttackTarget extends Omit<TestCall, 'token' | 'nonce'> {
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The rule has `anonymous: true`: a request without credentials is no attack. Default false. */
  readonly anonymous?: boolean
  /** The rule has `once: true`: a token is used a second time, with a proof of its own. Default false. */
  readonly once?: boolean
  /** The same API behind another verifier, in this process or another: what was used up here is tried there. */
  readonly replica?: TestApp
  /** Fields of a request from which a middleware in front of `ajwt` takes the credentials, or replaces them. */
  readonly stripped?: Readonly<Record<string, string>>
  /**
   * The revocation list of the app: agents that nothing else uses are revoked, and of `intent.chain` the last
   * delegator, so that the honest request is refused afterwards. `revoke` resolves when the app knows of it.
   */
  readonly revocations?: { revoke(id: string, until: number): unknown }
}

export interface AttackRow {
  readonly name: string
  /** Status and denial code, such as `401 proof_replayed`. */
  readonly expected: string
  readonly got: string
  readonly ok: boolean
}

/** What goes on the wire in place of the honest credentials. */
export interface Forgery {
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** Where it is not the honest one. */
  readonly path?: string
  /** Where it does not go to the app under attack. */
  readonly app?: TestApp
}

interface Answer {
  readonly status: number
  /** The denial code, where ajwt answered. */
  readonly code: string | undefined
}

/** One attack's hands: all that it makes is honest but for what it says. */
export interface Attacker {
  readonly mint: Mint
  readonly target: AttackTarget
  readonly method: string
  readonly url: string
  readonly path: string
  claims(change?: Partial<TestCall>): Record<string, unknown>
  token(change?: Readonly<Record<string, unknown>>, header?: Readonly<Record<string, unknown>>): string
  proof(token: string, over?: Partial<Parameters<Mint['proof']>[0]>): string
  /** Whether the API has refused a proof for want of a nonce: one that only offers a nonce still goes by `iat`. */
  asksForNonce(): boolean
  /** The two fields. */
  carry(token: string, proof?: string): Forgery
  send(forgery: Forgery): Promise<Answer>
}

export async function runAttacks(mint: Mint, app: TestApp, target: AttackTarget): Promise<AttackRow[]> {
  const attacker = createAttacker(mint, app, target)
  const honest = () => attacker.send(attacker.carry(attacker.token()))
  const rows: AttackRow[] = [await honestRow(honest)]
  // One after the other: an app that is overwhelmed would answer otherwise than one that is attacked.
  for (const { name, expected, applies, forge } of corpus) {
    if (applies && !applies(target, { asksForNonce: attacker.asksForNonce() })) continue
    const [status, ...codes] = expected
    const answer = await attempt(async () => attacker.send(await forge(attacker)))
    rows.push({
      name,
      expected: `${status} ${codes.join(' or ')}`,
      got: typeof answer === 'string' ? answer : told(answer),
      ok: typeof answer !== 'string' && isRefusal(answer, status, codes),
    })
  }
  return rows
}

/** A gate that refuses everything would pass for a good one, and a route that is not there for a closed one. */
async function honestRow(send: () => Promise<Answer>): Promise<AttackRow> {
  let answer = await attempt(send)
  if (typeof answer !== 'string' && answer.code === 'proof_nonce_required') answer = await attempt(send)
  const ok = typeof answer !== 'string' && answer.status >= 200 && answer.status < 400
  const got = typeof answer === 'string' ? answer : told(answer)
  return { name: 'the honest request', expected: 'let through', got, ok }
}

/** Another gate in front, which has no codes, may have refused it: then any refusal counts. */
function isRefusal({ status, code }: Answer, expected: number, codes: readonly string[]): boolean {
  return code === undefined ? [400, 401, 403].includes(status) : status === expected && codes.includes(code)
}

function told({ status, code }: Answer): string {
  return code === undefined ? String(status) : `${status} ${code}`
}

/** What breaks is a row, too: the others are still worth knowing. */
async function attempt(send: () => Promise<Answer>): Promise<Answer | string> {
  try {
    return await send()
  } catch (error) {
    return `failed: ${String(error)}`
  }
}

function createAttacker(mint: Mint, app: TestApp, target: AttackTarget): Attacker {
  const method = target.method ?? 'GET'
  const url = mint.urlOf(target.url)
  const base = mint.urlOf('/')
  const path = url.startsWith(base) ? url.slice(base.length - 1) : url.slice(new URL(url).origin.length)
  let nonce: string | undefined
  let asksForNonce = false
  const key = () => mint.agents.keyOf(mint.executor(target))

  const attacker: Attacker = {
    mint,
    target,
    method,
    url,
    path,
    claims: (change = {}) => mint.claims({ ...target, ...change }),
    token: (change = {}, header = {}) => mint.sign({ ...attacker.claims(), ...change }, header),
    proof: (token, over = {}) => mint.proof({ method, url, token, key: key(), nonce, ...over }),
    asksForNonce: () => asksForNonce,
    carry: (token, proof = attacker.proof(token)) => ({
      headers: [
        ['authorization', `DPoP ${token}`],
        ['dpop', proof],
      ],
    }),
    async send(forgery) {
      const headers = new Headers(target.headers)
      for (const [name, value] of forgery.headers) headers.append(name, value)
      const init: RequestInit = { method, headers, redirect: 'manual' }
      if (target.body !== undefined) init.body = target.body
      const to = forgery.path ?? path
      const at = forgery.app ?? app
      const response =
        typeof at === 'function'
          ? await at(new Request(mint.urlOf(to), init))
          : await fetch(new URL(at).origin + to, init)
      nonce = response.headers.get('dpop-nonce') ?? nonce
      const code = codeIn(await response.text())
      asksForNonce ||= code === 'proof_nonce_required'
      return { status: response.status, code }
    },
  }
  return attacker
}

function codeIn(body: string): string | undefined {
  try {
    const { code } = JSON.parse(body) as { code?: unknown }
    return typeof code === 'string' ? code : undefined
  } catch {
    return undefined
  }
}
