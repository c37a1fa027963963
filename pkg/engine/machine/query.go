package machine

// WithToken gives a query effect with its token filled in; false if f is not a query.
func WithToken(f Effect, t Token) (Effect, bool) {
	switch q := f.(type) {
	case Spawn:
		q.Token = t
		return q, true
	case Kill:
		q.Token = t
		return q, true
	case TestConditions:
		q.Token = t
		return q, true
	case ReadPIDFile:
		q.Token = t
		return q, true
	case GuessMainPID:
		q.Token = t
		return q, true
	case AttachPIDs:
		q.Token = t
		return q, true
	case RemoveDirectories:
		q.Token = t
		return q, true
	case ReadStamp:
		q.Token = t
		return q, true
	case PrepareMount:
		q.Token = t
		return q, true
	case WatchPaths:
		q.Token = t
		return q, true
	case OpenAutomount:
		q.Token = t
		return q, true
	case CheckCgroup:
		q.Token = t
		return q, true
	case CheckPID:
		q.Token = t
		return q, true
	case OpenSockets:
		q.Token = t
		return q, true
	case ChownSockets:
		q.Token = t
		return q, true
	case CloseSockets:
		q.Token = t
		return q, true
	}
	return f, false
}

// QueryToken is the token of a query effect, 0 for other effects.
func QueryToken(f Effect) Token {
	switch q := f.(type) {
	case Spawn:
		return q.Token
	case Kill:
		return q.Token
	case TestConditions:
		return q.Token
	case ReadPIDFile:
		return q.Token
	case GuessMainPID:
		return q.Token
	case AttachPIDs:
		return q.Token
	case RemoveDirectories:
		return q.Token
	case ReadStamp:
		return q.Token
	case PrepareMount:
		return q.Token
	case WatchPaths:
		return q.Token
	case OpenAutomount:
		return q.Token
	case CheckCgroup:
		return q.Token
	case CheckPID:
		return q.Token
	case OpenSockets:
		return q.Token
	case ChownSockets:
		return q.Token
	case CloseSockets:
		return q.Token
	}
	return 0
}

// AnswerToken is the token of an event that answers a query, 0 for other events.
func AnswerToken(ev Event) Token {
	switch a := ev.(type) {
	case Spawned:
		return a.Token
	case SpawnFailed:
		return a.Token
	case Killed:
		return a.Token
	case ConditionsTested:
		return a.Token
	case PIDFileRead:
		return a.Token
	case MainPIDGuessed:
		return a.Token
	case DirectoriesRemoved:
		return a.Token
	case StampRead:
		return a.Token
	case MountPrepared:
		return a.Token
	case PathsWatched:
		return a.Token
	case AutomountOpened:
		return a.Token
	case ProcessesAttached:
		return a.Token
	case CgroupChecked:
		return a.Token
	case PIDChecked:
		return a.Token
	case SocketsOpened:
		return a.Token
	case SocketsChowned:
		return a.Token
	case SocketsClosed:
		return a.Token
	}
	return 0
}
