/**
 * A run as the authorization server knows it: `run_id`, which the first answer of the run brings, and what the
 * next token request has to report. PROFILE section 6.
 */
export interface ServerRun {
  /** Undefined until the server has named it, or where it names none. */
  readonly id: string | undefined
  /** A token belongs to one run, and to one attempt at a step: it must not be taken from the cache for another. */
  readonly cacheKey: string
  /** Separated by blanks: the steps that failed and did not complete since. */
  readonly failedSteps: string
  /** The server's `run_id`, from an answer that brought a token. */
  learn(id: unknown): void
  failed(step: string): void
  completed(step: string): void
  /** One request at a time until the server has named the run: two that begin at once would be two runs. */
  inTurn<T>(ask: () => Promise<T>): Promise<T>
}

export function createServerRun(known: string | undefined): ServerRun {
  const key = crypto.randomUUID()
  const failures = new Set<string>()
  let id = known
  let attempt = 0
  let settled = known !== undefined
  let first: Promise<void> | undefined

  return {
    get id() {
      return id
    },
    get cacheKey() {
      return `${key} ${attempt}`
    },
    get failedSteps() {
      return [...failures].join(' ')
    },
    learn(named) {
      settled = true
      id ??= isRunId(named) ? named : undefined
    },
    failed(step) {
      attempt += 1
      failures.add(step)
    },
    completed: (step) => void failures.delete(step),
    async inTurn(ask) {
      while (!settled && first !== undefined) await first
      if (settled) return ask()
      let done = () => {}
      first = new Promise((resolve) => {
        done = resolve
      })
      try {
        return await ask()
      } finally {
        first = undefined
        done()
      }
    },
  }
}

/** Printable ASCII without blanks, at most 256 characters. */
export function isRunId(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,256}$/.test(value)
}
