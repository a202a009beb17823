import { chromium, type Browser } from 'playwright-core'
import { existsSync } from 'node:fs'

/** Where Debian and others put Chromium. @throws naming the command that installs it */
function findChromium(): string {
  const path = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
    (candidate) => existsSync(candidate),
  )
  if (path === undefined) throw new Error('Chromium is not installed. Run: npm run setup:test')
  return path
}

/** Starts it without a window, and without anything that calls out. */
export async function launchChromium(): Promise<Browser> {
  return await chromium.launch({
    executablePath: findChromium(),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
