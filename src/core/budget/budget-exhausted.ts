import { TollwayError, type TollwayErrorParameters } from '../errors.ts'

/** A budget has no room for a request. */
export class BudgetExhaustedError extends TollwayError {
  /** The name of the budget. */
  readonly budget: string
  /** The model that its operator wants asked instead; see `BudgetRule.routeTo`. */
  readonly routeTo: string | undefined

  constructor(budget: string, routeTo: string | undefined, parameters: Omit<TollwayErrorParameters, 'code'>) {
    super({ ...parameters, code: 'budget_exhausted' })
    this.budget = budget
    this.routeTo = routeTo
  }
}
