/** Longest compact JWS of each kind, in characters. Longer ones are refused unread. */
export const maxTokenLength = 16 * 1024
export const maxProofLength = 8 * 1024
export const maxAssertionLength = 8 * 1024

/** Seconds by which clocks may differ, unless a policy says otherwise. */
export const defaultClockTolerance = 5
