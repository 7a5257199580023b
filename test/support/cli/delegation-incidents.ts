import { delegatedCall, parties } from '../../../fixtures/delegation-kit.js'
import { AUDIENCE } from '../../../fixtures/kit.js'
import type { Incident } from './incidents.js'

/** Recorded requests with a delegation that is wrong. */
export const delegationIncidents: readonly Incident[] = [
  {
    name: 'order of the links',
    request: (kit) => delegatedCall(kit, { arrange: ([first, second, ...rest]) => [second, first, ...rest] }),
    code: 'delegation_link_broken',
    says: ['iss of assertion 1 is not the sub', 'Delegate again from the initiator'],
  },
  {
    name: 'expired delegation',
    request: (kit) => delegatedCall(kit, { hops: { 1: { claims: { exp: kit.seconds - 60 } } } }),
    code: 'delegation_expired',
    says: ['assertion 2 expired 60 s ago', 'Delegate again'],
  },
  {
    name: 'delegation by a clock that is ahead',
    request: (kit) => delegatedCall(kit, { hops: { 2: { claims: { iat: kit.seconds + 90 } } } }),
    code: 'delegation_expired',
    says: ['iat of assertion 3 is 90 s ahead of this clock'],
  },
  {
    name: 'widened scope',
    request: (kit) => delegatedCall(kit, { hops: { 1: { claims: { scope: 'orders:read all' } } } }),
    code: 'delegation_scope_widened',
    says: ['assertion 2 has a scope', 'found all'],
  },
  {
    name: 'delegation for another workflow',
    request: (kit) => delegatedCall(kit, { hops: { 1: { claims: { workflow_id: 'order' } } } }),
    code: 'delegation_context_mismatch',
    says: ['expected refund', 'found order'],
  },
  {
    name: 'delegation for another API',
    request: (kit) => delegatedCall(kit, { hops: { 1: { claims: { aud: 'https://b.example.com' } } } }),
    code: 'delegation_context_mismatch',
    says: [`expected ${AUDIENCE}`, 'found https://b.example.com'],
  },
  {
    name: 'agent twice in a chain',
    request: (kit) =>
      delegatedCall(kit, {
        agents: [parties.supervisor, parties.planner, parties.supervisor, parties.worker],
      }),
    code: 'delegation_loop',
    says: ['found supervisor', 'Do not delegate back'],
  },
  {
    name: 'long chain',
    policy: { delegation: { maxDepth: 1 } },
    request: (kit) => delegatedCall(kit),
    code: 'delegation_too_deep',
    says: ['expected at most 1', 'found 3', 'raise delegation.maxDepth'],
  },
  {
    name: 'hash of another chain',
    request: (kit) => delegatedCall(kit, { intent: { delegation_chain: '0123456789abcdef' } }),
    code: 'delegation_hash_mismatch',
    says: ['found 0123456789abcdef', 'Compute the hash over the agent ids'],
  },
  {
    name: 'delegator with a new key',
    request: (kit) => delegatedCall(kit, { hops: { 1: { key: parties.stranger.key } } }),
    code: 'delegation_link_broken',
    says: ['assertion 2 is not signed by the key that the assertion before it names'],
  },
  {
    name: 'forged assertion',
    request: (kit) => delegatedCall(kit, { hops: { 1: { signer: parties.stranger.key } } }),
    code: 'delegation_signature_invalid',
    says: ['Pass assertions on unchanged'],
  },
]
