import { createHash, randomUUID } from 'node:crypto'
import type { Adapter, AdapterPayload, Provider } from 'oidc-provider'

/** One pass through a workflow, as the server remembers it. */
export interface Run {
  readonly id: string
  readonly workflowId: string
  /** The agent that it began with: the initiator of every delegation in it. */
  readonly starter: string
  /** The person who approved it, where somebody had when it began. */
  readonly user: string | undefined
}

/** `begun`: it has had a token. `ended` and `failed` are what a client reported. */
export type StepState = 'none' | 'begun' | 'ended' | 'failed'

type Mark = Exclude<StepState, 'none'>

/** The state of runs, where the provider keeps everything else: whatever its fleet shares holds for runs, too. */
export interface Runs {
  start(run: Omit<Run, 'id'>): Promise<Run>
  find(id: string): Promise<Run | undefined>
  stateOf(run: Run, step: string): Promise<StepState>
  /** Notes that a step gets a token. A step that had failed is tried again. */
  begin(run: Run, step: string): Promise<void>
  /** Notes what a client reports of a step that has had a token. */
  report(run: Run, step: string, end: 'ended' | 'failed'): Promise<void>
}

/**
 * Each fact is a record of its own, written once: an adapter has no way to change a record atomically, so two
 * requests of one run that arrive at once must not have to.
 */
export function adapterRuns(provider: Provider, lifetime: number): Runs {
  const { adapter } = runModel(provider)
  const write = (id: string, members: Readonly<Record<string, unknown>>) => {
    const iat = Math.floor(Date.now() / 1000)
    const payload = { kind: 'AgentRun', jti: id, iat, exp: iat + lifetime, state: members }
    return adapter.upsert(id, payload, lifetime)
  }
  const has = async (run: Run, step: string, mark: Mark) =>
    isLive((await adapter.find(markId(run, step, mark))) ?? undefined)

  return {
    async start(members) {
      const id = randomUUID()
      await write(id, { ...members })
      return { id, ...members }
    },
    async find(id) {
      const found = (await adapter.find(id)) ?? undefined
      if (!isLive(found)) return undefined
      const { workflowId, starter, user } = found.state ?? {}
      // A mark of a step is stored beside the runs: its id is no run's.
      if (typeof workflowId !== 'string' || typeof starter !== 'string') return undefined
      return { id, workflowId, starter, user: typeof user === 'string' ? user : undefined }
    },
    async stateOf(run, step) {
      if (await has(run, step, 'failed')) return 'failed'
      if (await has(run, step, 'ended')) return 'ended'
      return (await has(run, step, 'begun')) ? 'begun' : 'none'
    },
    async begin(run, step) {
      await write(markId(run, step, 'begun'), {})
      await adapter.destroy(markId(run, step, 'failed'))
    },
    async report(run, step, end) {
      await write(markId(run, step, end), {})
    },
  }
}

/** The model exists for its adapter alone; adapters keep models apart by their name. */
function runModel(provider: Provider): { readonly adapter: Adapter } {
  return class AgentRun extends provider.BaseToken {
    // Not left to the class: a bundler may rename it.
    static override readonly name = 'AgentRun'
  }
}

function markId({ id }: Run, step: string, mark: Mark): string {
  return createHash('sha256').update(`${id} ${mark} ${step}`).digest('base64url')
}

// Not every adapter forgets by itself what has expired.
function isLive(stored: AdapterPayload | undefined): stored is AdapterPayload {
  return typeof stored?.exp === 'number' && stored.exp > Date.now() / 1000
}
