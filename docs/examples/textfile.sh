#!/bin/sh
# Metrics that the platform does not publish, for node_exporter's textfile collector. Run it from cron every minute:
#   textfile.sh /var/backups/mongo > /var/lib/node_exporter/stella.prom.tmp && mv /var/lib/node_exporter/stella.prom.tmp /var/lib/node_exporter/stella.prom
# The names are the defaults of the metric map (`slo schema`); change both together.
set -eu
backups=$1

# When the newest finished snapshot was written. Without one there is no sample: the check is then unknown, not good.
newest=$(find "$backups" -maxdepth 1 -name '*.archive.gz' -printf '%T@\n' | sort -n | tail -n 1 | cut -d. -f1)
if [ -n "$newest" ]; then
  echo '# HELP stella_backup_last_success_timestamp_seconds When the newest snapshot was finished.'
  echo '# TYPE stella_backup_last_success_timestamp_seconds gauge'
  echo "stella_backup_last_success_timestamp_seconds $newest"
fi
