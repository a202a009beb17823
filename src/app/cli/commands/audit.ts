import type { Command } from 'commander'
import type { CommandContext } from '../run.ts'

/** Adds `tollway audit`. */
export function addAudit(program: Command, context: CommandContext): void {
  void context
  program.command('audit').description('look into audit files')
}
