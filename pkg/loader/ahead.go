package loader

import "sync"

// aheadMax bounds the texts that wait for their unit to be loaded.
const aheadMax = 512

// Ahead reads fragments before they are asked for, on another goroutine than the one that loads them: when many units are loaded at once, a
// third of the time goes into opening their files.
type Ahead struct {
	index *Index
	names []string

	mu    sync.Mutex
	room  sync.Cond         // a text was taken, or it is over
	texts map[string]string // by path
	over  bool
	ended chan struct{} // closed when Run has returned; nil before it began
}

// Ahead lets [Loader.Load] use what [Ahead.Run] reads for these names, until [Loader.StopAhead]. The index must not be changed meanwhile.
func (l *Loader) Ahead(names []string) *Ahead {
	a := &Ahead{index: l.index, names: names, texts: map[string]string{}}
	a.room.L = &a.mu
	l.ahead = a
	return a
}

// Run reads until all is read or StopAhead is called. Files that can't be read are left to Load.
func (a *Ahead) Run() {
	a.mu.Lock()
	if a.over {
		a.mu.Unlock()
		return
	}
	a.ended = make(chan struct{})
	a.mu.Unlock()
	defer close(a.ended)
	for _, name := range a.names {
		r := a.index.Resolve(name)
		if r.Fragment == "" || r.Masked || r.Err != nil {
			continue
		}
		text, err := readFile(r.Fragment)
		a.mu.Lock()
		for len(a.texts) >= aheadMax && !a.over {
			a.room.Wait()
		}
		over := a.over
		if !over && err == nil {
			a.texts[r.Fragment] = text
		}
		a.mu.Unlock()
		if over {
			return
		}
	}
}

// StopAhead ends Run, waits for that, and lets Load read files by itself again.
func (l *Loader) StopAhead() {
	a := l.ahead
	if a == nil {
		return
	}
	l.ahead = nil
	a.mu.Lock()
	a.over = true
	a.texts = nil
	ended := a.ended
	a.room.Broadcast()
	a.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// take gives a text that was read ahead; each is given once.
func (a *Ahead) take(path string) (text string, ok bool) {
	if a == nil {
		return "", false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if text, ok = a.texts[path]; ok {
		delete(a.texts, path)
		a.room.Signal()
	}
	return text, ok
}

// fragment reads the text of a unit.
func (l *Loader) fragment(path string) (string, error) {
	if text, ok := l.ahead.take(path); ok {
		return text, nil
	}
	return readFile(path)
}
