/** Processes that share a store, and what happens to the charges of those that ended (rule 10). */
import type { Charge } from '../../../core/charge/charge.ts'

/** A process that uses the store. */
export interface Instance {
  /** `ins_` and random text; one per start of a gateway. */
  readonly id: string
  /** The machine and boot it runs on. A process id can only be checked there. */
  readonly host: string
  readonly pid: number
  /** The process's start time as the system counts it, to recognise a reused process id; '' when unknown. */
  readonly processStart: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Milliseconds since the epoch. */
  readonly heartbeatAt: number
}

/** The instances of a store. Every method is one transaction. */
export interface InstanceStore {
  /** Registers a process. */
  register(instance: Instance): Promise<void>
  /**
   * Records that a process is alive.
   * @param at milliseconds since the epoch
   * @throws Error when the instance is not registered
   */
  heartbeat(id: string, at: number): Promise<void>
  /**
   * Every instance that is not retired, and retired ones that own `held` or `authorized` charges (again) or have unpublished
   * moves in the audit outbox. Oldest first.
   */
  instances(): Promise<Instance[]>
  /**
   * Ends an instance: its `authorized` charges become `uncertain`, its `held` ones `released`. Called by any process that
   * finds a dead instance, and by an instance for itself when it closes.
   * @param at milliseconds since the epoch
   * @param by as in `Move.by`
   * @returns the charges that were moved
   */
  retire(id: string, at: number, reason: string, by?: string): Promise<Charge[]>
}
