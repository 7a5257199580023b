import { randomUUID } from 'node:crypto'
import type { Approval, ApprovalQuery, RecordedApproval } from './registry.js'

interface Entry {
  readonly approval: RecordedApproval
  readonly recordedAt: number
}

/** Approvals by persons. Each is valid for `maxAge` milliseconds. */
export function memoryApprovals(maxAge: number, now: () => number) {
  /** By person, text, agent and workflow; oldest first. */
  const entries = new Map<string, Entry>()
  /** Kept after the approvals expire: no agent may ever take the name of a person. */
  const persons = new Set<string>()

  function sweep(): void {
    for (const [key, { recordedAt }] of entries) {
      if (now() - recordedAt < maxAge) return
      entries.delete(key)
    }
  }

  return {
    hasPerson: (name: string) => persons.has(name),
    record(approval: Approval): RecordedApproval {
      sweep()
      const recorded = Object.freeze({ ...approval, id: randomUUID() })
      const { user, intentHash, agentId, workflowId } = recorded
      const key = JSON.stringify([user, intentHash, agentId, workflowId ?? null])
      persons.add(user)
      // Deleted first, so that the new approval becomes the last in insertion order.
      entries.delete(key)
      entries.set(key, { approval: recorded, recordedAt: now() })
      return recorded
    },
    find(query: ApprovalQuery): RecordedApproval | undefined {
      sweep()
      return [...entries.values()].map(({ approval }) => approval).findLast((one) => matches(one, query))
    },
    use(id: string): boolean {
      for (const [key, { approval }] of entries) {
        if (approval.id === id) return entries.delete(key)
      }
      return false
    },
  }
}

function matches(approval: RecordedApproval, query: ApprovalQuery): boolean {
  return (
    approval.intentHash === query.intentHash &&
    approval.agentId === query.agentId &&
    (approval.workflowId === undefined || approval.workflowId === query.workflowId) &&
    (query.user === undefined || approval.user === query.user)
  )
}
