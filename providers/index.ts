/** Who pays: one factory per kind of payer. */
export { direct, type DirectOptions } from './direct/direct.ts'
