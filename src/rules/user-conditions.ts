import { createIdSet, type ReadId } from '../policy/qualified-id.js'
import type { RuleData } from '../policy/schema.js'
import { describe, Refusal } from '../refusal.js'
import type { Check } from './rule-input.js'

/** The issuer must say that the name is a person's: an agent can have the same name. */
export function checkPerson(entries: readonly string[], readId: ReadId): Check {
  const people = createIdSet(entries, readId)
  return ({ token: { issuer, intent, agent, subject, names } }, observer) => {
    // Profile `oauth`: an agent acts for the subject if the two are different.
    const principal = intent.executedBy === undefined && subject !== agent ? subject : undefined
    const person = intent.initiatorType === 'user' ? intent.initiatedBy : principal
    observer?.begin('user.sub', entries.join(' or '), person ?? 'no person')
    if (person !== undefined && people.has(issuer, person)) return undefined
    return new Refusal('claim_not_allowed', {
      reason: person === undefined ? 'the token names no person' : 'the rule does not list this person',
      claim: principal === undefined || person !== principal ? 'intent.initiated_by' : names.subject,
      expected: describe(entries.join(' or ')),
      found: describe(person),
    })
  }
}

/** The checks of how the person was authenticated. All of them ask for the same step-up. */
export function compileUser(rule: NonNullable<RuleData['user']>, clockTolerance: number): readonly Check[] {
  const details = { acrValues: rule.acr?.join(' '), maxAge: rule.maxAge }
  const stepUp = (claim: string, expected: string, found: string) => {
    const reason = `${claim} does not show the authentication that the rule requires`
    const cause = { reason, claim, expected: describe(expected), found: describe(found) }
    return new Refusal('user_authentication_required', cause, details)
  }
  return [
    ...(rule.acr === undefined ? [] : [checkAcr(rule.acr, stepUp)]),
    ...(rule.amr === undefined ? [] : [checkAmr(rule.amr, stepUp)]),
    ...(rule.maxAge === undefined ? [] : [checkAuthTime(rule.maxAge, clockTolerance, stepUp)]),
  ]
}

type StepUp = (claim: string, expected: string, found: string) => Refusal

function checkAcr(values: readonly string[], stepUp: StepUp): Check {
  const expected = values.join(' or ')
  return ({ token: { user } }, observer) => {
    observer?.begin('user.acr', expected, describe(user.acr))
    if (user.acr !== undefined && values.includes(user.acr)) return undefined
    return stepUp('acr', expected, describe(user.acr))
  }
}

function checkAmr(methods: readonly string[], stepUp: StepUp): Check {
  const expected = methods.join(' and ')
  return ({ token: { user } }, observer) => {
    observer?.begin('user.amr', expected, describe(user.amr?.join(' ')))
    if (methods.every((method) => user.amr?.includes(method))) return undefined
    return stepUp('amr', expected, describe(user.amr?.join(' ')))
  }
}

function checkAuthTime(maxAge: number, clockTolerance: number, stepUp: StepUp): Check {
  const expected = `at most ${maxAge} s ago`
  return ({ token: { user }, now }, observer) => {
    const { authTime } = user
    observer?.begin('user.maxAge', expected, describe(authTime))
    if (authTime !== undefined && authTime <= now + clockTolerance && now - authTime <= maxAge)
      return undefined
    return stepUp('auth_time', expected, describe(authTime))
  }
}
