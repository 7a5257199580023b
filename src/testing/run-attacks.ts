import type { Answer, Attacker, AttackRow, AttackTarget, TestApp } from './attacker.js'
import { attacks } from './attacks.js'
import type { TokenFactory } from './token-factory.js'

/** `onRow` is called for each row as soon as it is known. */
export async function runAttacks(
  factory: TokenFactory,
  app: TestApp,
  target: AttackTarget,
  onRow?: (row: AttackRow) => void,
): Promise<AttackRow[]> {
  const attacker = createAttacker(factory, app, target)
  const honest = () => attacker.send(attacker.withCredentials(attacker.token()))
  const rows: AttackRow[] = []
  const add = (row: AttackRow) => {
    rows.push(row)
    onRow?.(row)
  }
  add(await honestRow(honest))
  // One after the other, because an overloaded app would respond differently.
  for (const { name, expected, applies, forge } of attacks) {
    if (applies && !applies(target, { asksForNonce: attacker.asksForNonce() })) continue
    const [status, ...codes] = expected
    const answer = await attempt(async () => attacker.send(await forge(attacker)))
    add({
      name,
      expected: `${status} ${codes.join(' or ')}`,
      got: typeof answer === 'string' ? answer : describe(answer),
      ok: typeof answer !== 'string' && isRefusal(answer, status, codes),
    })
  }
  return rows
}

/** Without this row, an app that denies everything or a missing route would pass every attack. */
async function honestRow(send: () => Promise<Answer>): Promise<AttackRow> {
  let answer = await attempt(send)
  if (typeof answer !== 'string' && answer.code === 'proof_nonce_required') answer = await attempt(send)
  const ok = typeof answer !== 'string' && answer.status >= 200 && answer.status < 400
  const got = typeof answer === 'string' ? answer : describe(answer)
  return { name: 'the honest request', expected: 'allowed', got, ok }
}

/** Without a code, another middleware may have refused the request: then any of these statuses counts. */
function isRefusal({ status, code }: Answer, expected: number, codes: readonly string[]): boolean {
  return code === undefined ? [400, 401, 403].includes(status) : status === expected && codes.includes(code)
}

function describe({ status, code }: Answer): string {
  return code === undefined ? String(status) : `${status} ${code}`
}

/** A failing attack becomes a row as well, so that the other attacks still run. */
async function attempt(send: () => Promise<Answer>): Promise<Answer | string> {
  try {
    return await send()
  } catch (error) {
    return `failed: ${String(error)}`
  }
}

function createAttacker(factory: TokenFactory, app: TestApp, target: AttackTarget): Attacker {
  const method = target.method ?? 'GET'
  const url = factory.urlOf(target.url)
  const base = factory.urlOf('/')
  const path = url.startsWith(base) ? url.slice(base.length - 1) : url.slice(new URL(url).origin.length)
  let nonce: string | undefined
  let asksForNonce = false
  const key = () => factory.agents.keyOf(factory.executor(target))

  const attacker: Attacker = {
    factory,
    target,
    method,
    url,
    path,
    claims: (change = {}) => factory.claims({ ...target, ...change }),
    token: (change = {}, header = {}) => factory.sign({ ...attacker.claims(), ...change }, header),
    proof: (token, changes = {}) => factory.proof({ method, url, token, key: key(), nonce, ...changes }),
    asksForNonce: () => asksForNonce,
    withCredentials: (token, proof = attacker.proof(token)) => ({
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
          ? await at(new Request(factory.urlOf(to), init))
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
    const { code }: { code?: unknown } = JSON.parse(body)
    return typeof code === 'string' ? code : undefined
  } catch {
    return undefined
  }
}
