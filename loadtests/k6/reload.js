// The configuration is reloaded again and again under load (run.sh sends the SIGHUPs
// and changes the percentage between them). No webhook may be lost, no call may
// change its backend, and every reload must have been taken.

import { check } from 'k6';
import { affinityBreaks, arrivals, failed, metric, status, wholeCall } from './callers.js';

// Slow callers: each call lives through several reloads.
const PAUSE = 0.4;

export const options = {
  scenarios: { callers: arrivals('caller', PAUSE) },
  thresholds: {
    webhooks_failed: ['count==0'],
    affinity_breaks: ['count==0'],
    calls: ['count>0'],
    http_req_failed: ['rate==0'],
    dropped_iterations: ['count==0'],
    checks: ['rate==1'],
  },
};

export function setup() {
  affinityBreaks.add(0);
  failed.add(0);
  return { generation: status().generation };
}

export function caller() {
  failed.add(wholeCall(PAUSE).broken);
}

export function teardown(data) {
  const now = status();
  const last = metric('switchback_config_last_reload_successful');
  check(last, { 'the last reload succeeded': (value) => value === 1 });
  check(now, {
    'the routing changed': (s) => s.generation > data.generation,
    'the rollout goes on': (s) => s.latched === false,
  });
}
