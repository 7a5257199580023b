/**
 * A run at the authorization server: its `run_id`, and the failed steps to report with the next token
 * request.
 */
export interface ServerRun {
  /** Undefined before the first token response, or if the server returns no `run_id`. */
  readonly id: string | undefined
  /** Part of the token cache key: a token belongs to one run and one attempt at a step. */
  readonly cacheKey: string
  /** Space-separated ids of steps that failed and have not completed since. */
  readonly failedSteps: string
  /** Stores the `run_id` of a token response. */
  rememberId(id: unknown): void
  failed(step: string): void
  completed(step: string): void
  /** Serializes token requests until the first token response: two parallel ones would start two runs. */
  serialize<T>(request: () => Promise<T>): Promise<T>
}

export function createServerRun(knownId: string | undefined): ServerRun {
  const key = crypto.randomUUID()
  const failures = new Set<string>()
  let id = knownId
  let attempt = 0
  let started = knownId !== undefined
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
    rememberId(received) {
      started = true
      id ??= isRunId(received) ? received : undefined
    },
    failed(step) {
      attempt += 1
      failures.add(step)
    },
    completed: (step) => void failures.delete(step),
    async serialize(request) {
      while (!started && first !== undefined) await first
      if (started) return request()
      let done = () => {}
      first = new Promise((resolve) => {
        done = resolve
      })
      try {
        return await request()
      } finally {
        first = undefined
        done()
      }
    },
  }
}

/** Printable ASCII without spaces, at most 256 characters. */
export function isRunId(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,256}$/.test(value)
}
