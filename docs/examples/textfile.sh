#!/bin/sh
# Metrics that the platform does not publish, for node_exporter's textfile collector. Run it from cron every minute:
#   textfile.sh BACKUPS PLAN MONGO > /var/lib/node_exporter/stella.prom.tmp && mv /var/lib/node_exporter/stella.prom.tmp /var/lib/node_exporter/stella.prom
# BACKUPS is the folder of snapshots; PLAN a file in which the lifecycle controller lists what it purges within a day, a
# line "CLASS KEY" each; MONGO the address of the database. Leave one out with "". What cannot be read has no sample:
# its check is then unknown, not good. The names are the defaults of the metric map (`slo schema`); change both together.
set -eu
backups=$1 plan=${2:-} mongo=${3:-}

metric() { # NAME VALUE HELP
  printf '# HELP %s %s\n# TYPE %s gauge\n%s %s\n' "$1" "$3" "$1" "$1" "$2"
}

newest=$(find "$backups" -maxdepth 1 -name '*.archive.gz' -printf '%T@\n' 2>/dev/null | sort -n | tail -n 1 | cut -d. -f1)
if [ -n "$newest" ]; then
  metric stella_backup_last_success_timestamp_seconds "$newest" 'When the newest snapshot was finished.'
fi

if [ -n "$plan" ] && [ -f "$plan" ]; then
  metric stella_ilm_last_run_timestamp_seconds "$(stat -c %Y "$plan")" 'When the lifecycle controller last ran.'
  echo '# HELP stella_ilm_upcoming_purges Artefacts that will be purged within a day.'
  echo '# TYPE stella_ilm_upcoming_purges gauge'
  for class in short default compliance; do
    echo "stella_ilm_upcoming_purges{class=\"$class\"} $(grep -c "^$class " "$plan" || true)"
  done
fi

if [ -n "$mongo" ]; then
  asked='db.adminCommand({getParameter: 1, featureCompatibilityVersion: 1}).featureCompatibilityVersion.version'
  if version=$(mongosh --quiet "$mongo" --eval "print($asked)" 2>/dev/null) && [ -n "$version" ]; then
    metric mongodb_fcv_feature_compatibility_version "$version" "The feature compatibility version."
  fi
fi
