#!/bin/sh
# Runs the parts of the user data as cloud-init does, one after the other, up to the first that fails:
# what cloud-init would still do after it is of no use to an agent.
exec < /dev/null
cd /
run=$(($(cat /rehearse/run) + 1))
echo $run > /rehearse/run
: > /rehearse/trace
: > /rehearse/steps
failed=0
for part in /rehearse/parts/*; do
  echo "$part" > /rehearse/part
  code=0
  flags=$(cat "/rehearse/flags/${part##*/}" 2> /dev/null)
  # Like cloud-init's, the environment has no HOME.
  case $part in
    *.bash) env -i PATH="$PATH" LANG=C.UTF-8 BASH_ENV=/rehearse/trace.sh bash $flags "$part" || code=$? ;;
    *.sh) env -i PATH="$PATH" LANG=C.UTF-8 PS4='+rehearse:$LINENO:' sh -x $flags "$part" 2> /rehearse/said || code=$? ;;
    *) env -i PATH="$PATH" LANG=C.UTF-8 "$part" || code=$? ;;
  esac
  case $part in
    *.sh)
      grep '^+*rehearse:' /rehearse/said >> /rehearse/trace
      grep -v '^+*rehearse:' /rehearse/said >&2
      ;;
  esac
  if [ $code != 0 ]; then
    failed=$code
    break
  fi
done
exit $failed
