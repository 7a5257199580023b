import { createHash, randomUUID } from 'node:crypto'
import type { Adapter, AdapterPayload, Provider } from 'oidc-provider'

/** The server's record of one pass through a workflow. */
export interface Run {
  readonly id: string
  readonly workflowId: string
  /** The agent that began the run. It is the initiator of every delegation in the run. */
  readonly initiatorId: string
  /** The person who had approved the run when it began. */
  readonly user: string | undefined
}

/** `begun`: a token was issued for the step. `ended` and `failed`: a client reported it. */
export type StepState = 'none' | 'begun' | 'ended' | 'failed'

type StoredState = Exclude<StepState, 'none'>

/** Runs, stored in the provider's adapter, so that all instances of the provider share them. */
export interface Runs {
  start(run: Omit<Run, 'id'>): Promise<Run>
  find(id: string): Promise<Run | undefined>
  stateOf(run: Run, step: string): Promise<StepState>
  /** Records that a token is issued for a step. A failed step can begin again. */
  begin(run: Run, step: string): Promise<void>
  /** Records the end of a begun step, as reported by a client. */
  report(run: Run, step: string, end: 'ended' | 'failed'): Promise<void>
}

/**
 * Stores each state of a step as a separate record. An adapter cannot update a record atomically, so
 * concurrent requests of one run must not update the same record.
 */
export function adapterRuns(provider: Provider, lifetime: number): Runs {
  const { adapter } = runModel(provider)
  const write = (id: string, members: Readonly<Record<string, unknown>>) => {
    const iat = Math.floor(Date.now() / 1000)
    const payload = { kind: 'AgentRun', jti: id, iat, exp: iat + lifetime, state: members }
    return adapter.upsert(id, payload, lifetime)
  }
  const has = async (run: Run, step: string, state: StoredState) =>
    isLive((await adapter.find(stateId(run, step, state))) ?? undefined)

  return {
    async start(members) {
      const id = randomUUID()
      await write(id, { ...members })
      return { id, ...members }
    },
    async find(id) {
      const found = (await adapter.find(id)) ?? undefined
      if (!isLive(found)) return undefined
      const { workflowId, initiatorId, user } = found.state ?? {}
      // The states of steps are stored in the same place. A client must not pass the id of one as `run_id`.
      if (typeof workflowId !== 'string' || typeof initiatorId !== 'string') return undefined
      return { id, workflowId, initiatorId, user: typeof user === 'string' ? user : undefined }
    },
    async stateOf(run, step) {
      if (await has(run, step, 'failed')) return 'failed'
      if (await has(run, step, 'ended')) return 'ended'
      return (await has(run, step, 'begun')) ? 'begun' : 'none'
    },
    async begin(run, step) {
      await write(stateId(run, step, 'begun'), {})
      await adapter.destroy(stateId(run, step, 'failed'))
    },
    async report(run, step, end) {
      await write(stateId(run, step, end), {})
    },
  }
}

/** A model that is used only for its adapter. Adapters separate models by name. */
function runModel(provider: Provider): { readonly adapter: Adapter } {
  return class AgentRun extends provider.BaseToken {
    // Set explicitly, because a bundler may rename the class.
    static override readonly name = 'AgentRun'
  }
}

function stateId({ id }: Run, step: string, state: StoredState): string {
  return createHash('sha256').update(`${id} ${state} ${step}`).digest('base64url')
}

// Not every adapter deletes expired records.
function isLive(stored: AdapterPayload | undefined): stored is AdapterPayload {
  return typeof stored?.exp === 'number' && stored.exp > Date.now() / 1000
}
