/** Counters are whole numbers of ten-thousandths, so that sums of decimal amounts are exact. */
const UNITS = 10_000
/** The largest cost and the largest limit: their units are safe integers. */
export const MAX_LIMIT = 900_000_000_000

/** The units of a cost, rounded up. Undefined if it is not a number that can be counted. */
export function costUnits(cost: number): number | undefined {
  return isCountable(cost) ? toUnits(cost, Math.ceil) : undefined
}

/** The units of a limit, rounded down. */
export function maxUnits(max: number): number | undefined {
  return isCountable(max) ? toUnits(max, Math.floor) : undefined
}

export function fromUnits(units: number): number {
  return units / UNITS
}

/** Whether a value can be a cost or a limit. */
export function isCountable(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= MAX_LIMIT
}

/** 1.1 times 10000 is a little more than 11000: a value so close to a whole number counts as that number. */
function toUnits(value: number, round: (units: number) => number): number {
  const units = value * UNITS
  const nearest = Math.round(units)
  return Math.abs(units - nearest) <= nearest * 1e-12 ? nearest : round(units)
}
