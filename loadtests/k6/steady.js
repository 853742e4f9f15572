// Steady load at 50 %: every webhook answered, every call on one backend from its
// first webhook to its last, about half of the calls on new, and the proxy's own
// count of webhooks is the truth.

import { check } from 'k6';
import { arrivals, affinityBreaks, failed, metric, status, wholeCall } from './callers.js';

const PAUSE = 0.02; // seconds between a caller's webhooks

export const options = {
  scenarios: { callers: arrivals('caller', PAUSE) },
  thresholds: {
    webhooks_failed: ['count==0'],
    affinity_breaks: ['count==0'],
    calls: ['count>0'],
    calls_on_new: ['rate>0.40', 'rate<0.60'],
    // Far above what is measured: it fails when something stalls, not when the machine is busy.
    'http_req_duration{name:/ivr}': ['p(95)<250'],
    http_req_failed: ['rate==0'],
    dropped_iterations: ['count==0'],
    checks: ['rate==1'],
  },
};

export function setup() {
  affinityBreaks.add(0);
  failed.add(0);
  return { before: metric('switchback_webhooks_total') };
}

export function caller() {
  failed.add(wholeCall(PAUSE).broken);
}

export function teardown(data) {
  const now = status();
  const after = metric('switchback_webhooks_total');
  check(now, {
    'the rollout goes on': (s) => s.latched === false,
    'both backends were asked': (s) => s.backends.legacy.webhooks > 0 && s.backends.new.webhooks > 0,
    'no backend failed': (s) => s.backends.legacy.errors + s.backends.new.errors === 0,
  });
  check(after, { 'webhooks are counted in /metrics': (count) => count > (data.before || 0) });
}
