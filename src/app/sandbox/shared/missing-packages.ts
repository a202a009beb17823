/** A part of the sandbox is not installed. The message names it and the one command that installs everything. */
export class SandboxPackagesMissingError extends Error {
  override readonly name = 'SandboxPackagesMissingError'
}
