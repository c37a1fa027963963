package machine

// Answers reports whether event a is of the kind that answers query q. Kinds that are not listed answer for themselves.
func Answers(q Effect, a Event) bool {
	switch q.(type) {
	case Spawn:
		switch a.(type) {
		case Spawned, SpawnFailed:
			return true
		}
		return false
	case Kill:
		_, ok := a.(Killed)
		return ok
	case TestConditions:
		_, ok := a.(ConditionsTested)
		return ok
	case ReadPIDFile:
		_, ok := a.(PIDFileRead)
		return ok
	case GuessMainPID:
		_, ok := a.(MainPIDGuessed)
		return ok
	case AttachPIDs:
		_, ok := a.(ProcessesAttached)
		return ok
	case RemoveDirectories:
		_, ok := a.(DirectoriesRemoved)
		return ok
	case CheckCgroup:
		_, ok := a.(CgroupChecked)
		return ok
	case CheckPID:
		_, ok := a.(PIDChecked)
		return ok
	}
	switch a.(type) {
	case Spawned, SpawnFailed, Killed, ConditionsTested, PIDFileRead, MainPIDGuessed, ProcessesAttached, DirectoriesRemoved,
		CgroupChecked, PIDChecked:
		return false
	}
	return true
}
